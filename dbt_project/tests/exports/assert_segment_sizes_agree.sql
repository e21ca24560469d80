{# A segment is as large in its KPIs as in its list of members, and in the export as members with consent are. #}
with kpis as (
    select
        segment_id,
        kind,
        n_customers
    from {{ ref('segment_kpis') }}
    where as_of_date = {{ as_of_date() }} and n_customers > 0
),

members as (
    select
        memberships.segment_id,
        memberships.kind,
        count(*) as n_members,
        count(*) filter (where consents.has_consent) as n_consenting
    from {{ ref('segment_memberships') }} as memberships
    left join {{ ref('int_current_consents') }} as consents on memberships.customer_id = consents.customer_id
    where memberships.valid_to is null
    group by memberships.segment_id, memberships.kind
),

exported as (
    select
        segment_id,
        kind,
        count(*) as n_exported
    from {{ ref('exp_segments') }}
    group by segment_id, kind
)

select
    segment_id,
    kind,
    kpis.n_customers,
    members.n_members,
    members.n_consenting,
    exported.n_exported
from kpis
full outer join members using (segment_id, kind)
full outer join exported using (segment_id, kind)
where
    kpis.n_customers is distinct from members.n_members
    or coalesce(exported.n_exported, 0) is distinct from coalesce(members.n_consenting, 0)
