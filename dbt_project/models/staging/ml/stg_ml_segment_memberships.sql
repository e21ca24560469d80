with segment_memberships as (
    select * from {{ source('ml', 'segment_memberships') }}
),

identifiers as (
    select * from {{ source('identity', 'identifiers') }}
),

-- A customer's id is one of its identifiers, by which the history of a customer who was merged finds its person.
owned as (
    select
        coalesce(identifiers.customer_id, segment_memberships.customer_id) as customer_id,
        segment_memberships.customer_id as former_customer_id,
        segment_memberships.segment_id,
        segment_memberships.rule_version,
        segment_memberships.reason,
        segment_memberships.as_of_date
    from segment_memberships
    left join identifiers on segment_memberships.customer_id = identifiers.identifier
    where segment_memberships.as_of_date <= {{ as_of_date() }}
),

known as (
    select * exclude (former_customer_id)
    from owned
    qualify
        row_number() over (
            partition by customer_id, segment_id, as_of_date
            order by former_customer_id = customer_id desc, former_customer_id asc
        ) = 1
)

select * from known
