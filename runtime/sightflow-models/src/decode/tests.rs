use sightflow_types::model::Pooling;

use super::classification::{Labels, merge_views, probabilities};
use super::embedding::{pool, unit};

fn rounded(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| sightflow_types::round_to(*value, 6)).collect()
}

#[test]
fn temperature_flattens() {
    let of = |temperature| {
        probabilities(&[2.0, 1.0, 0.0], Labels::Exclusive, temperature)
            .iter()
            .map(|p| sightflow_types::round_to(*p, 4))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(1.0), [0.6652, 0.2447, 0.09]);
    assert_eq!(of(2.0), [0.5065, 0.3072, 0.1863]);
    assert_eq!(rounded(&probabilities(&[0.0, 1000.0, -1000.0], Labels::Independent, 1.0)), [0.5, 1.0, 0.0]);
    assert_eq!(rounded(&probabilities(&[1e30, 0.0], Labels::Exclusive, 0.01)), [1.0, 0.0]);
}

#[test]
fn views_are_merged() {
    let views = [vec![0.6, 0.4], vec![0.2, 0.8]];
    let scores =
        |merge, labels| rounded(&merge_views(&views, merge, labels).iter().map(|score| score.0).collect::<Vec<_>>());
    assert_eq!(scores("mean", Labels::Exclusive), [0.4, 0.6]);
    assert_eq!(scores("max", Labels::Exclusive), [0.428571, 0.571429]);
    assert_eq!(scores("max", Labels::Independent), [0.6, 0.8]);
    assert_eq!(scores("vote", Labels::Exclusive), [0.5, 0.5]);
    // Between equal votes the mean decides.
    assert!(merge_views(&views, "vote", Labels::Exclusive)[1].1 > merge_views(&views, "vote", Labels::Exclusive)[0].1);
}

#[test]
fn vectors() {
    assert_eq!(unit(&[3.0, 4.0]).map(|vector| rounded(&vector)), Ok(vec![0.6, 0.8]));
    assert_eq!(unit(&[0.0, 0.0]).expect_err("no direction").code, "zero_vector");
    let tokens = [9.0, 1.0, 2.0, 3.0];
    for (pooling, expected) in
        [(Pooling::Cls, 9.0), (Pooling::Mean, 2.0), (Pooling::Max, 3.0), (Pooling::Gem, 2.289_428)]
    {
        assert_eq!(pool(&tokens, 1, pooling, 3.0).map(|vector| rounded(&vector)), Ok(vec![expected]), "{pooling:?}");
    }
}
