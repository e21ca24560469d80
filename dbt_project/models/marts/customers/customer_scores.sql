with features as (
    select * from {{ ref('ftr_customer_features') }} where as_of_date = {{ as_of_date() }}
),

-- The name tells the horizon (purchase_30d); a run makes one of them.
purchase_scores as (
    select * from {{ ref('stg_ml_scores') }}
    where starts_with(score_name, 'purchase')
    qualify row_number() over (partition by customer_id order by score_name) = 1
),

cluster_members as (
    select * from {{ ref('stg_ml_customer_clusters') }} where as_of_date = {{ as_of_date() }}
),

-- Clusters stand at the date on which their model was trained, which may lie before the run's.
clusters as (
    select
        cluster_id,
        model_version,
        arg_max(cluster_name, as_of_date) as cluster_name
    from {{ ref('stg_ml_clusters') }}
    group by cluster_id, model_version
),

stages as (
    select * from {{ ref('stg_ml_customer_stages') }}
),

final as (
    select
        features.customer_id,
        features.as_of_date,
        purchase_scores.probability as purchase_probability,
        purchase_scores.decile as purchase_decile,
        cluster_members.cluster_id,
        clusters.cluster_name,
        features.rfm_segment,
        features.recency_score,
        features.frequency_score,
        features.monetary_score,
        stages.stage
    from features
    left join purchase_scores on features.customer_id = purchase_scores.customer_id
    left join cluster_members on features.customer_id = cluster_members.customer_id
    left join clusters
        on
            cluster_members.cluster_id = clusters.cluster_id
            and cluster_members.model_version = clusters.model_version
    left join stages on features.customer_id = stages.customer_id
)

select * from final
order by customer_id
