-- However an event found its customer: of who has refused, only what they bought and gave back is used, and no visit.
with refusals as (
    select customer_id
    from {{ ref('fct_consents') }}
    where is_current and state != 'granted' and purpose = '{{ var("behaviour_purpose") }}'
),

events as (
    select * from {{ ref('int_events') }}
    where {{ is_made_now() }}
)

select events.event_id
from events
inner join refusals on events.customer_id = refusals.customer_id
where
    events.session_id is not null
    or (events.entity in ('events', 'feedback') and events.event_type not in ('purchase', 'refund'))
