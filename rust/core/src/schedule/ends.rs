//! The start or end of a schedule: one number, or one a parameter group.

use crate::error::{Error, Result, value_error};

/// One value for every parameter group, or one value a group.
///
/// Equality is on float64 (-0.0 counts as 0.0); a single number is not a one-element group.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged, expecting = "expected a number or a list of numbers")]
pub enum Ends {
    /// The same value for all groups.
    One(f64),
    /// One value a group.
    Many(Vec<f64>),
}

impl Ends {
    /// The number of groups, `None` for a single number.
    #[must_use]
    pub fn groups(&self) -> Option<usize> {
        match self {
            Self::One(_) => None,
            Self::Many(values) => Some(values.len()),
        }
    }

    /// The value of `group`; a single number is every group's.
    #[must_use]
    pub fn get(&self, group: usize) -> f64 {
        match self {
            Self::One(value) => *value,
            Self::Many(values) => values[group],
        }
    }

    /// Refuse an empty list and anything that is not finite.
    pub(crate) fn validate(&self, name: &str) -> Result<()> {
        match self {
            Self::One(value) if value.is_finite() => Ok(()),
            Self::One(value) => {
                Err(value_error!("`{name}` must be a finite number, got {value:?}"))
            }
            Self::Many(values) if values.is_empty() => Err(value_error!(
                "`{name}` must hold one number per parameter group, got an empty sequence"
            )),
            Self::Many(values) => match values.iter().position(|value| !value.is_finite()) {
                None => Ok(()),
                Some(group) => Err(value_error!(
                    "`{name}` must hold finite numbers, got {:?} for group {group}",
                    values[group]
                )),
            },
        }
    }

    pub(crate) fn hash_into(&self, state: &mut impl std::hash::Hasher) {
        // Adding 0.0 turns -0.0 into 0.0: equal values hash alike.
        match self {
            Self::One(value) => state.write_u64((value + 0.0).to_bits()),
            Self::Many(values) => {
                state.write_usize(values.len());
                for value in values {
                    state.write_u64((value + 0.0).to_bits());
                }
            }
        }
    }
}

impl std::fmt::Display for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(value) => write!(f, "{value:?}"),
            Self::Many(values) => write!(f, "{values:?}"),
        }
    }
}

/// The group count that several parts agree on; scalars agree with every count.
pub(crate) fn common_groups(
    counts: impl IntoIterator<Item = (String, Option<usize>)>,
) -> Result<Option<usize>> {
    let mut agreed: Option<(String, usize)> = None;
    for (name, groups) in counts {
        match (&agreed, groups) {
            (Some((first, expected)), Some(found)) if *expected != found => {
                return Err(Error::Value(format!(
                    "`{name}` has {found} groups, but `{first}` has {expected}: \
                     the numbers of parameter groups must agree"
                )));
            }
            (None, Some(found)) => agreed = Some((name, found)),
            _ => {}
        }
    }
    Ok(agreed.map(|(_, groups)| groups))
}
