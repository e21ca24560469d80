{{ config(alias='segments') }}

with members as (
    select * from {{ ref('segment_memberships') }} where valid_to is null
),

consenting as (
    select customer_id from {{ ref('int_current_consents') }} where has_consent
),

final as (
    select
        members.customer_id,
        members.segment_id,
        members.segment_name,
        members.kind,
        members.valid_from as member_since,
        members.reason,
        {{ as_of_date() }} as as_of_date
    from members
    inner join consenting on members.customer_id = consenting.customer_id
)

select * from final
order by customer_id, segment_id
