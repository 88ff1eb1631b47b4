//! How values of each type are written.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Wire, WireError, wire};
use crate::{
    EventId, QueueOptions,
    far::{Change, FarHold, FarValue, Load, Put, To, Versioned, When, Written},
    names::{self, Key},
    queue::Followed,
};

impl Wire for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let (first, rest) = input.split_first().ok_or(WireError::Cut)?;
        *input = rest;
        Ok(*first)
    }
}

impl Wire for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = u8::take(input)?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has one bit left, and a number is written in one way only.
            if (shift == 63 && bits > 1) || (shift > 0 && byte == 0) {
                return Err(WireError::Malformed);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(WireError::Malformed)
    }
}

impl Wire for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        Self::try_from(u64::take(input)?).map_err(|_| WireError::Malformed)
    }
}

impl Wire for usize {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        Self::try_from(u64::take(input)?).map_err(|_| WireError::Malformed)
    }
}

impl Wire for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        ((self << 1) ^ (self >> 63)).cast_unsigned().put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let zigzag = u64::take(input)?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        match u8::take(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Malformed),
        }
    }
}

/// In milliseconds; a part of one counts as one. What is longer than can be said is as long as can be said.
impl Wire for Duration {
    fn put(&self, out: &mut Vec<u8>) {
        let millis = self.as_nanos().div_ceil(1_000_000);
        u64::try_from(millis).unwrap_or(u64::MAX).put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        u64::take(input).map(Self::from_millis)
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    bytes.len().put(out);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let length = usize::take(input)?;
    let (bytes, rest) = input.split_at_checked(length).ok_or(WireError::Cut)?;
    *input = rest;
    Ok(bytes)
}

/// A copy, so that a value that is kept does not keep what else was read with it.
impl Wire for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self, out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        take_bytes(input).map(Self::copy_from_slice)
    }
}

fn take_text<'a>(input: &mut &'a [u8]) -> Result<&'a str, WireError> {
    std::str::from_utf8(take_bytes(input)?).map_err(|_| WireError::Malformed)
}

impl Wire for Arc<str> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        take_text(input).map(Into::into)
    }
}

impl Wire for Box<str> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        take_text(input).map(Into::into)
    }
}

/// Names are checked where they come in.
impl Wire for Key {
    fn put(&self, out: &mut Vec<u8>) {
        self.app.put(out);
        self.name.put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let (app, name) = (take_text(input)?, take_text(input)?);
        names::check(app).and(names::check(name)).map_err(|_| WireError::Malformed)?;
        Ok(Self { app: app.into(), name: name.into() })
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        bool::take(input)?.then(|| T::take(input)).transpose()
    }
}

impl<T: Wire, E: Wire> Wire for Result<T, E> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok(if bool::take(input)? { Ok(T::take(input)?) } else { Err(E::take(input)?) })
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok((A::take(input)?, B::take(input)?))
    }
}

/// Grows with what is read, whatever length was said.
impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|item| item.put(out));
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let count = usize::take(input)?;
        if count > input.len() {
            // Each has a byte at least.
            return Err(WireError::Cut);
        }
        let mut items = Self::new();
        for _ in 0..count {
            items.push(T::take(input)?);
        }
        Ok(items)
    }
}

wire!(impl struct EventId { life, number });
wire!(impl struct QueueOptions { keep, keep_bytes, message });
wire!(impl struct Followed { after, now, stops });
wire!(impl struct Versioned { version, json });
wire!(impl struct FarValue { json, ttl, durable });
wire!(impl struct FarHold { token, value });
wire!(impl enum Load { 0 Same, 1 Value(value), 2 Nothing, });
wire!(impl enum When { 0 Always, 1 Version(version), 2 Absent, });
wire!(impl enum Written { 0 Done(version), 1 Not(present), });
wire!(impl enum Put { 0 Done(before), 1 Not(present), });
wire!(impl enum Change { 0 Get, 1 Add(number), 2 Set(number), 3 Swap(expected, number), });
wire!(impl enum To { 0 Others, 1 OtherWorkers, 2 Agent, 3 Random, 4 Process(pid), });
