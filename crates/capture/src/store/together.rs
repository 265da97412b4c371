//! Values that come together, such as a browser, its version and a system: each different value once, and which of them do.

use std::collections::HashMap;

/// Lists that [`Together`] is made of: the different values, and `N` of their places for each that come together.
type Lists<'a> = (Vec<&'a str>, Vec<u32>);

/// What is written, one by one.
pub(super) struct Writer<'a, const N: usize> {
    lists: Lists<'a>,
    places: HashMap<&'a str, u32>,
    known: HashMap<[u32; N], usize>,
}

impl<'a, const N: usize> Writer<'a, N> {
    pub(super) fn new() -> Self {
        Self { lists: Lists::default(), places: HashMap::new(), known: HashMap::new() }
    }

    /// The place of `values`.
    pub(super) fn add(&mut self, values: [&'a str; N]) -> usize {
        let (all, places) = &mut self.lists;
        let values = values.map(|value| {
            *self.places.entry(value).or_insert_with(|| {
                all.push(value);
                u32::try_from(all.len() - 1).unwrap_or(u32::MAX)
            })
        });
        let next = self.known.len();
        *self.known.entry(values).or_insert_with(|| {
            places.extend(values);
            next
        })
    }

    /// The bytes that [`Together::read`] reads.
    pub(super) fn pack(&self) -> Vec<u8> {
        // Serialising into memory cannot fail; were it to, what is written would be read as damaged.
        postcard::to_allocvec(&self.lists).unwrap_or_default()
    }
}

/// What is read.
pub(super) struct Together<'a, const N: usize> {
    values: Vec<&'a str>,
    places: Vec<u32>,
}

impl<'a, const N: usize> Together<'a, N> {
    /// Reads what [`Writer::pack`] wrote, and gives what comes after it; `None` when it is damaged.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let ((values, places), rest): (Lists<'a>, _) = postcard::take_from_bytes(bytes).ok()?;
        let is_sound = places.len().is_multiple_of(N)
            && places.iter().all(|place| usize::try_from(*place).is_ok_and(|place| place < values.len()));
        is_sound.then_some((Self { values, places }, rest))
    }

    /// How many different ones come together.
    pub(super) fn len(&self) -> usize {
        self.places().len()
    }

    /// The places of the values of each, of which none is greater than there are values.
    pub(super) fn places(&self) -> &[[u32; N]] {
        self.places.as_chunks().0
    }

    /// The value in a place of [`places`](Self::places).
    pub(super) fn value(&self, place: u32) -> &'a str {
        usize::try_from(place).map_or("", |place| self.values[place])
    }

    /// All of them, in the order of their places.
    pub(super) fn all(&self) -> impl Iterator<Item = [&'a str; N]> {
        self.places().iter().map(|places| places.map(|place| self.value(place)))
    }
}
