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


{# The UTC day of an instant, whatever the session's time zone is. Arithmetic on microseconds takes a tenth of a calendar's time. #}
{% macro utc_date(instant) -%}
    cast(make_timestamp(epoch_us({{ instant }})) as date)
{%- endmacro %}


{# The day of an instant on the shop's calendar. #}
{% macro local_date(instant) -%}
    cast({{ local_time(instant) }} as date)
{%- endmacro %}


{# The first day at whose end something is known: midnight itself still belongs to the day that it ends. #}
{% macro known_date(instant, event_date) -%}
    greatest(cast(make_timestamp(epoch_us({{ instant }}) - 1) as date), {{ event_date }})
{%- endmacro %}


{# One row per cut-off date of the run; dates that lie after the run's own are left out. `is_built`: only the rows of touched
   customers can have changed. #}
{% macro cutoff_dates() -%}
    select
        cutoff.as_of_date,
        coalesce(cutoff.as_of_date in ({{ date_literals(built_dates()) }}), false) as is_built
    from (
        values
        {% for day in var("cutoff_dates") -%}
            (cast('{{ day }}' as date)){{ "," if not loop.last }}
        {% endfor %}
    ) as cutoff (as_of_date)
    where cutoff.as_of_date <= {{ as_of_date() }}
    group by cutoff.as_of_date
{%- endmacro %}


{# Days as SQL writes them, with commas between; null where there are none. #}
{% macro date_literals(days) -%}
    {%- for day in days -%}
        cast('{{ day }}' as date){{ ", " if not loop.last }}
    {%- else -%}
        null
    {%- endfor -%}
{%- endmacro %}


{# Whole days from one date to another. #}
{% macro days_between(earlier, later) -%}
    cast({{ later }} - {{ earlier }} as bigint)
{%- endmacro %}


{# Whole seconds from one instant to another. By date_diff, which asks the calendar, it would take fifty times as long. #}
{% macro seconds_between(earlier, later) -%}
    (epoch_us({{ later }}) // 1000000 - epoch_us({{ earlier }}) // 1000000)
{%- endmacro %}


{# Whether more than so many seconds lie between two instants, to the microsecond. #}
{% macro is_longer_apart(earlier, later, seconds) -%}
    {{ elapsed_microseconds(earlier, later) }} > {{ (seconds | int(1)) * 1000000 }}
{%- endmacro %}


{# The start of the quarter of an hour of an instant. Every zone's clock is set by quarters, so they are enough for its hours. #}
{% macro quarter_hour(instant) -%}
    to_timestamp(epoch_us({{ instant }}) // 900000000 * 900)
{%- endmacro %}


{# What a clock of var time_zone shows at an instant, in summer and in winter. #}
{% macro local_time(instant) -%}
    timezone('{{ var("time_zone") }}', {{ instant }})
{%- endmacro %}


{# 1 Monday to 7 Sunday. #}
{% macro weekday(local) -%}
    cast(isodow({{ local }}) as bigint)
{%- endmacro %}


{# Microseconds from one instant to another, exactly and without a calendar, which is fast. #}
{% macro elapsed_microseconds(earlier, later) -%}
    (epoch_us({{ later }}) - epoch_us({{ earlier }}))
{%- endmacro %}
