{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with events as (
    select * from {{ ref('int_events') }}
    where event_type in {{ interest_types() }} and {{ is_touched('customer_id') }}
),

tiers as (
    select * from {{ ref('int_price_tiers') }}
),

placed as (
    select
        events.*,
        case
            when events.price <= tiers.budget_up_to then 'budget'
            when events.price <= tiers.mid_up_to then 'mid'
            when events.price > tiers.mid_up_to then 'luxury'
        end as price_tier,
        greatest(events.known_date, events.category_known_date) as described_date
    from events
    left join tiers
        on
            events.category = tiers.category
            and events.event_date >= tiers.valid_from
            and events.event_date < tiers.valid_to
),

-- Before an item's category was known, an event told of none: that is taken back on the day on which it came to be known.
told as (
    select
        *,
        1 as sign,
        described_date = known_date as is_described
    from placed
    union all
    select
        * replace (described_date as known_date),
        -1 as sign,
        false as is_described
    from placed
    where described_date > known_date
    union all
    select
        * replace (described_date as known_date),
        1 as sign,
        true as is_described
    from placed
    where described_date > known_date
),

final as (
    select
        customer_id,
        event_date,
        known_date,
        case when is_described then coalesce(category, '') else '' end as category,
        case when brand_known_date > known_date then '' else coalesce(brand, '') end as brand,
        case when is_described then coalesce(price_tier, '') else '' end as price_tier,
        {% for name, event_type in counted_interests().items() -%}
            coalesce(sum(sign) filter (where event_type = '{{ event_type }}'), 0) as {{ name }},
        {% endfor -%}
        sum(sign) as count_events,
        coalesce(sum(sign) filter (where event_type = 'product_view' and price is not null), 0) as count_priced_views,
        coalesce(sum(sign * {{ money('price') }}) filter (where event_type = 'product_view'), 0) as viewed_value
    from told
    group by 1, 2, 3, 4, 5, 6
)

select * from final
