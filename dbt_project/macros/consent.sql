{# Texts as SQL writes them, with commas between; null where there are none. #}
{% macro literals(texts) -%}
    {%- for text in texts -%}
        '{{ text | replace("'", "''") }}'{{ ", " if not loop.last }}
    {%- else -%}
        null
    {%- endfor -%}
{%- endmacro %}


{# What the silence of somebody in a country means: `state`, and the opposite in the countries of `exceptions`. #}
{% macro silence(state, exceptions, country) -%}
    case
        when upper(trim({{ country }})) in ({{ literals(exceptions) }})
            then '{{ "denied" if state == "granted" else "granted" }}'
        else '{{ state }}'
    end
{%- endmacro %}


{# When a grant of that instant becomes silence again; null where it never does. #}
{% macro expires_at(purpose, state, recorded_at) -%}
    {{ recorded_at }} + case
        when {{ state }} != 'granted' then null
        {% for name in var("consent_expiry_days") -%}
            when {{ purpose }} = '{{ name }}' then interval '{{ var("consent_expiry_days")[name] }} days'
        {% endfor -%}
    end
{%- endmacro %}


{# The customer whose decision each consent is: of the identifiers that it tells the first that is known, else the first.
   Reads the CTEs `consents` and `identities`. #}
{% macro deciders() -%}
    select
        told.consent_id,
        coalesce(
            arg_min(identities.customer_id, told.place), arg_min(told.identifier, told.place)
        ) as customer_id
    from (
        {% for column in ["user_id", "email", "phone", "anonymous_id"] -%}
            select
                consent_id,
                {{ loop.index }} as place,
                {{ text_or_null(column) }} as identifier
            from consents
            {{ "union all" if not loop.last }}
        {% endfor -%}
    ) as told
    left join identities on told.identifier = identities.identifier
    where told.identifier is not null
    group by told.consent_id
{%- endmacro %}


{# What the flags of an event say of a purpose: granted, denied, or null. They are read as pairs such as
   `analytics=granted, ads=denied`; `words` are those that mean the purpose. Of two answers the refusal counts. #}
{% macro flagged_state(flags, words) -%}
    {%- set answers = {
        "denied": ["denied", "deny", "withdrawn", "no", "false", "0", "optout", "optedout"],
        "granted": ["granted", "grant", "yes", "true", "1", "optin", "optedin", "allowed", "accepted"],
    } -%}
    {%- set pairs = "string_split_regex(regexp_replace(replace(lower(" ~ flags ~ "), ':', '='), '[^\\pL\\pN=,;|&]', '', 'g'), '[,;|&]')" -%}
    case
        {% for state, said in answers.items() -%}
            {%- set meant = [] -%}
            {%- for word in words -%}{%- for answer in said -%}{%- do meant.append(word ~ "=" ~ answer) -%}{%- endfor -%}{%- endfor -%}
            when list_has_any({{ pairs }}, [{{ literals(meant) }}]) then '{{ state }}'
        {% endfor -%}
    end
{%- endmacro %}
