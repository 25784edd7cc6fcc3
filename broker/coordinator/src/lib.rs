//! Group coordination as pure shards: requests in, replies and records out.
