with events as (
    select * from {{ ref('int_events') }} where event_type in {{ interest_types() }}
),

items as (
    select * from {{ ref('dim_items') }}
),

final as (
    select
        events.customer_id,
        events.event_date,
        events.known_date,
        coalesce(events.category, '') as category,
        coalesce(events.brand, '') as brand,
        coalesce(items.price_tier, '') as price_tier,
        {% for name, event_type in counted_interests().items() -%}
            count(*) filter (where events.event_type = '{{ event_type }}') as {{ name }},
        {% endfor -%}
        count(*) as count_events,
        count(events.price) filter (where events.event_type = 'product_view') as count_priced_views,
        coalesce(sum({{ money('events.price') }}) filter (where events.event_type = 'product_view'), 0) as viewed_value
    from events
    left join items on events.item_id = items.item_id
    group by 1, 2, 3, 4, 5, 6
)

select * from final
