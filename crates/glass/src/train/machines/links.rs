//! Exchange between devices.

use super::Cluster;

/// Devices that exchange in a ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ring {
    /// How many there are.
    pub members: f64,
    /// Bytes a second of its slowest link.
    pub bandwidth: f64,
    /// Seconds that one way around takes besides.
    latency: f64,
}

impl Ring {
    /// A ring of `members` devices of which every `stride`th of a node belongs to it. Inside a node a device sends at the node's
    /// bandwidth. Between nodes a ring has as many network links as it has members in a node, since it can leave a node through any of
    /// them; the slower of both limits it.
    pub fn of(cluster: &Cluster, members: usize, stride: usize) -> Ring {
        let inside = members.min((cluster.device.per_node / stride.max(1)).max(1));
        let nodes = members.div_ceil(inside);
        let hops = (inside - 1) as f64 * cluster.node.latency;
        let members = members as f64;
        match cluster.network.filter(|_| nodes > 1) {
            None => Ring { members, bandwidth: cluster.node.bandwidth, latency: hops },
            Some(network) => Ring {
                members,
                bandwidth: match inside {
                    1 => network.bandwidth,
                    _ => cluster.node.bandwidth.min(inside as f64 * network.bandwidth),
                },
                latency: hops + (nodes - 1) as f64 * network.latency,
            },
        }
    }

    /// Seconds to add up the parts that every member needs of `bytes` (reduce-scatter), or to send every member's part to all (all-gather):
    /// (n−1)/n · bytes / bandwidth.
    pub fn half(&self, bytes: f64) -> f64 {
        if self.members <= 1.0 {
            0.0
        } else {
            (self.members - 1.0) / self.members * bytes / self.bandwidth + self.latency
        }
    }

    /// Seconds to add up `bytes` of every member for all (all-reduce): both halves (Patarasuk & Yuan 2009).
    pub fn all_reduce(&self, bytes: f64) -> f64 {
        2.0 * self.half(bytes)
    }
}

/// Seconds to send `bytes` to a device `stride` devices away.
pub fn send(cluster: &Cluster, bytes: f64, stride: usize, devices: usize) -> f64 {
    let is_inside = stride < cluster.device.per_node && devices <= cluster.device.per_node;
    match cluster.network.filter(|_| !is_inside) {
        Some(network) => bytes / network.bandwidth + network.latency,
        None => bytes / cluster.node.bandwidth + cluster.node.latency,
    }
}
