with lists as (
    select * from {{ ref('stg_ml_recommendations') }}
),

items as (
    select * from {{ ref('dim_items') }}
),

-- An item may have sold out or left the shop since the list was made; what is not known is allowed.
offered as (
    select
        lists.*,
        items.title,
        items.category,
        items.brand,
        items.price,
        coalesce(anchors.title, concat('item ', lists.anchor_item_id)) as anchor_name
    from lists
    left join items on lists.item_id = items.item_id
    left join items as anchors on lists.anchor_item_id = anchors.item_id
    where
        coalesce(lists.expires_at > {{ as_of() }}, true)
        and coalesce(items.is_in_stock, true)
        and coalesce(items.available_from <= {{ as_of() }}, true)
        and coalesce(items.available_until > {{ as_of() }}, true)
),

final as (
    select
        customer_id,
        cast(row_number() over (partition by customer_id order by rank, item_id) as integer) as rank,
        item_id,
        title,
        category,
        brand,
        price,
        score,
        reason_code,
        {{ recommendation_reason('reason_code', 'anchor_item_id', 'anchor_name', 'category') }} as reason,
        anchor_item_id,
        source,
        as_of_date,
        expires_at,
        model_version
    from offered
)

select * from final
order by customer_id, rank
