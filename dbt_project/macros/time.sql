{# The point in time of the run, exclusive. #}
{% macro as_of() -%}
    cast('{{ var("as_of") }}' as timestamp with time zone)
{%- endmacro %}


{# The last day that the run has seen any of. #}
{% macro as_of_date() -%}
    cast(timezone('UTC', {{ as_of() }} - interval 1 microsecond) as date)
{%- endmacro %}


{# Whether the run stands at a day of its own: by default it reads everything there is, and stands at none. #}
{% macro has_as_of() -%}
    {{ as_of_date() }} < cast('2099-12-31' as date)
{%- endmacro %}


{# The UTC day of an instant, whatever the session's time zone is. #}
{% macro utc_date(instant) -%}
    cast(timezone('UTC', {{ instant }}) as date)
{%- endmacro %}


{# The day of an instant on the shop's calendar. #}
{% macro local_date(instant) -%}
    cast(timezone('{{ var("time_zone") }}', {{ instant }}) as date)
{%- endmacro %}


{# The first day at whose end something is known: midnight itself still belongs to the day that it ends. #}
{% macro known_date(instant, event_date) -%}
    greatest({{ utc_date(instant ~ ' - interval 1 microsecond') }}, {{ event_date }})
{%- endmacro %}


{# One row per cut-off date of the run; dates that lie after the run's own are left out. #}
{% macro cutoff_dates() -%}
    select cutoff.as_of_date
    from (
        values
        {% for day in var("cutoff_dates") -%}
            (cast('{{ day }}' as date)){{ "," if not loop.last }}
        {% endfor %}
    ) as cutoff (as_of_date)
    where cutoff.as_of_date <= {{ as_of_date() }}
    group by cutoff.as_of_date
{%- endmacro %}


{# Whole days from one date to another. #}
{% macro days_between(earlier, later) -%}
    cast({{ later }} - {{ earlier }} as bigint)
{%- endmacro %}


{# Seconds from one instant to another. #}
{% macro seconds_between(earlier, later) -%}
    cast(date_diff('second', {{ earlier }}, {{ later }}) as bigint)
{%- endmacro %}
