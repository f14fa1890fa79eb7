//! What was probably meant by a name that does not exist.

/// The candidate that was probably meant: at most two edits away, or one is the beginning of the other.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_lowercase();
    candidates
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = strsim::osa_distance(&lower, &other);
            let stem = lower.len() >= 3 && other.len() >= 3 && (lower.starts_with(&other) || other.starts_with(&lower));
            let near = distance <= 2 && distance < lower.chars().count();
            (near || stem).then_some((if near { distance } else { 3 + distance }, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}
