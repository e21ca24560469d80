{# A file's rows come and go together, so an increment reads the changed files; and all of them for an item that the
   catalogue no longer describes. #}
{% set attributes = ['title', 'category', 'brand', 'price'] %}
{% set stamps = [
    'first_category', 'first_brand', 'first_price', 'last_title', 'last_category', 'last_brand', 'last_price'
] %}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_sightings() }}") }}

with described as (
    select item_id from {{ ref('int_described_items') }} where is_complete
),

told as (
    {% for condition in sighted_anew() -%}
        select
            file_id,
            event_id,
            occurred_at,
            received_at,
            item_id,
            title,
            category,
            brand,
            price,
            currency
        from {{ ref('stg_events') }}
        where not is_bot and event_type != 'refund' and {{ condition }}
        union all
        select
            file_id,
            order_line_id as event_id,
            ordered_at as occurred_at,
            received_at,
            item_id,
            title,
            category,
            brand,
            price,
            currency
        from {{ ref('stg_orders') }}
        where line_type = 'sale' and not is_test and {{ condition }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

events as (
    select * from told
    where
        item_id is not null
        and item_id not in (select described.item_id from described)
),

stamps as (
    select
        file_id,
        item_id,
        {% for attribute in ['category', 'brand', 'price'] -%}
            min({{ stamped(attribute, 'received_at', 'event_id') }}) filter (where {{ attribute }} is not null)
                as first_{{ attribute }},
        {% endfor -%}
        {% for attribute in attributes -%}
            max({{ stamped(attribute, 'occurred_at', 'event_id') }}) filter (where {{ attribute }} is not null)
                as last_{{ attribute }},
        {% endfor -%}
        arg_min_null(currency, row(received_at, event_id)) filter (where price is not null) as first_currency,
        arg_max_null(currency, row(occurred_at, event_id)) filter (where price is not null) as currency
    from events
    group by file_id, item_id
),

-- In columns of their own: DuckLake cannot read instants within structures of small tables.
final as (
    select
        stamps.file_id,
        stamps.item_id,
        {% for stamp in stamps -%}
            {{ stamp }}.stamped_value as {{ stamp }},
            {{ stamp }}.at_instant as {{ stamp }}_at,
            {{ stamp }}.tie_break as {{ stamp }}_event_id,
        {% endfor -%}
        stamps.first_currency,
        stamps.currency
    from stamps
)

select * from final
