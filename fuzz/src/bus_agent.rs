//! The frames between a process and the agent that keeps its bus.

/// Reads one frame, after its length, as either end would; what is read is written as it came.
pub fn bus_agent(input: &[u8]) {
    let length = u32::try_from(input.len()).unwrap_or(u32::MAX);
    cepa_bus::check_agent_wire(&[&length.to_be_bytes(), input].concat());
}
