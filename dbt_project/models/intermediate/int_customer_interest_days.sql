{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with events as (
    select * from {{ ref('int_events') }}
    where event_type in {{ interest_types() }} and {{ is_made_now() }} and {{ in_slice('customer_id') }}
),

tiers as (
    select * from {{ ref('int_price_tiers') }}
),

placed as (
    select
        events.customer_id,
        events.event_date,
        events.known_date,
        events.event_type,
        events.category,
        events.brand,
        events.price,
        case
            when events.price <= tiers.budget_up_to then 'budget'
            when events.price <= tiers.mid_up_to then 'mid'
            when events.price > tiers.mid_up_to then 'luxury'
        end as price_tier,
        coalesce(events.category_known_date, events.known_date) as category_date,
        coalesce(events.brand_known_date, events.known_date) as brand_date
    from events
    left join tiers
        on
            events.category = tiers.category
            and events.event_date >= tiers.valid_from
            and events.event_date < tiers.valid_to
),

-- Before an item's category or brand was known, an event told of none: it is read anew on the day on which one came to
-- be known.
dated as (
    select
        *,
        least(
            case when category_date > known_date then category_date end,
            case when brand_date > known_date then brand_date end
        ) as first_date,
        greatest(category_date, brand_date) as last_date
    from placed
),

told as (
    select
        *,
        1 as sign,
        known_date as read_on
    from dated
    {% for day, before in [('first_date', 'known_date'), ('last_date', 'first_date')] -%}
        {%- for sign, read_on in [(-1, before), (1, day)] %}
            union all
            select
                * replace ({{ day }} as known_date),
                {{ sign }} as sign,
                {{ read_on }} as read_on
            from dated
            where {{ day }} > {{ before }}
        {%- endfor -%}
    {%- endfor %}
),

final as (
    select
        customer_id,
        event_date,
        known_date,
        case when category_date <= read_on then coalesce(category, '') else '' end as category,
        case when brand_date <= read_on then coalesce(brand, '') else '' end as brand,
        case when category_date <= read_on then coalesce(price_tier, '') else '' end as price_tier,
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
