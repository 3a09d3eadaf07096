//! Which columns have room, and how much each gets.

use crate::top::{Column, Row};

/// A column on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Of(Column),
    /// The dirty rates of the last samples.
    History,
    /// The code of what speaks most against a migration.
    Why,
}

/// A column and its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub field: Field,
    pub width: usize,
}

/// From left to right, with the least width. What has no room is left out; the numbers say in which
/// order: the highest goes first, 0 stays.
const FIELDS: [(Field, usize, u8); 11] = [
    (Field::Of(Column::Id), 3, 0),
    (Field::Of(Column::Name), 8, 0),
    (Field::Of(Column::Vcpus), 4, 7),
    (Field::Of(Column::Memory), 8, 5),
    (Field::Of(Column::Cpu), 5, 4),
    (Field::Of(Column::Dirty), 7, 2),
    (Field::History, 8, 6),
    (Field::Of(Column::Downtime), 8, 1),
    (Field::Of(Column::Total), 8, 3),
    (Field::Of(Column::Verdict), 7, 0),
    (Field::Why, 22, 8),
];

/// Widest sparkline.
const HISTORY: usize = 30;

impl Field {
    pub const fn title(self) -> &'static str {
        match self {
            Self::Of(column) => column.title(),
            Self::History => "HISTORY",
            Self::Why => "WHY",
        }
    }

    /// Its cells are flush left.
    pub const fn left(self) -> bool {
        matches!(self, Self::Of(Column::Name | Column::Verdict) | Self::Why)
    }

    /// It is known of domains that were sampled only.
    pub const fn measured(self) -> bool {
        matches!(self, Self::Of(Column::Dirty | Column::Downtime | Column::Total) | Self::History)
    }
}

/// The columns of a line of `width` characters, one space between them.
pub fn places(width: usize, rows: &[&Row]) -> Vec<Place> {
    let mut chosen = FIELDS;
    chosen[0].1 = widest(rows, |row| row.domain.id.to_string()).max(chosen[0].1);
    let mut chosen = chosen.to_vec();
    let taken = |chosen: &[(Field, usize, u8)]| -> usize {
        chosen.iter().map(|(_, width, _)| width + 1).sum::<usize>() - 1
    };
    while taken(&chosen) > width {
        let Some(last) = chosen.iter().map(|field| field.2).max().filter(|last| *last > 0) else {
            break;
        };
        chosen.retain(|field| field.2 != last);
    }
    let mut left = width.saturating_sub(taken(&chosen));
    let mut grow = |field: Field, wanted: usize| {
        if let Some(place) = chosen.iter_mut().find(|place| place.0 == field) {
            let more = wanted.saturating_sub(place.1).min(left);
            place.1 += more;
            left -= more;
        }
    };
    grow(Field::Of(Column::Name), widest(rows, Row::name));
    grow(Field::History, HISTORY);
    chosen.into_iter().map(|(field, width, _)| Place { field, width }).collect()
}

fn widest(rows: &[&Row], text: impl Fn(&Row) -> String) -> usize {
    rows.iter().map(|row| text(row).chars().count()).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(width: usize) -> Vec<&'static str> {
        places(width, &[]).iter().map(|place| place.field.title()).collect()
    }

    #[test]
    fn a_line_is_never_wider_than_the_screen_unless_that_is_tiny() {
        for width in 20..300 {
            let places = places(width, &[]);
            let taken: usize = places.iter().map(|place| place.width + 1).sum();
            assert!(taken <= width + 1, "{width}: {places:?}");
        }
    }

    #[test]
    fn what_matters_least_goes_first() {
        assert_eq!(fields(200).len(), FIELDS.len());
        assert_eq!(fields(78).len(), FIELDS.len() - 1);
        assert!(!fields(78).contains(&"WHY"));
        assert_eq!(fields(40), ["ID", "NAME", "PAGES/s", "DOWNTIME", "VERDICT"]);
        assert_eq!(fields(5), ["ID", "NAME", "VERDICT"]);
    }
}
