{{ config(alias='recommendations') }}

with recommendations as (
    select * from {{ ref('recommendations') }}
),

consenting as (
    select customer_id from {{ ref('int_current_consents') }} where has_consent
),

final as (
    select
        recommendations.customer_id,
        recommendations.rank,
        recommendations.item_id,
        recommendations.title,
        recommendations.category,
        recommendations.brand,
        recommendations.price,
        recommendations.reason_code,
        recommendations.reason,
        recommendations.anchor_item_id,
        recommendations.expires_at,
        recommendations.as_of_date
    from recommendations
    inner join consenting on recommendations.customer_id = consenting.customer_id
)

select * from final
order by customer_id, rank
