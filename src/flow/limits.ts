/**
 * Bounds of the flow engine (threat T10: flooding the queue or the table). Over a bound the packet is refused, never let
 * through. Of `flows`, `held` and `bytes` one sender gets a fifth at most, and one network a third (`shares.ts`).
 */
export const limits = {
  /** Undecided flows. One network's third must not use up the ports that masquerading has for one destination (64 512). */
  flows: 65_536,
  /** Packets held in the kernel's queue, in all and of one flow. */
  held: 32_768,
  heldPerFlow: 48,
  /** Bytes kept of undecided and followed flows. */
  bytes: 128 * 1024 * 1024,
  /** The same for one followed plain-HTTP connection: its last bytes, to tell a retransmission from a substitution. */
  historyBytes: 4 * 1024 * 1024,
  /** From the first held byte to the whole hello, ms (threat N6: very slow hellos). */
  helloMs: 10_000,
  /** From the SYN to the first byte, ms (threat N7: a server-first protocol on a tls port never shows a name). */
  silentMs: 30_000,
  /** The same after a repeated SYN: nobody answers, and the client's pauses grow to 64 s. */
  handshakeMs: 70_000,
  /** In monitor mode: how long a silent flow is watched for a name before it is recorded without one, ms. */
  observeMs: 5_000,
  /** How long a followed plain-HTTP connection may be idle before it is forgotten (its next bytes are then refused), ms. */
  idleMs: 3_600_000,
  /** The same once the client has closed its half. */
  closingMs: 60_000,
  /** How long an allowed QUIC flow's hello is remembered after the last long header, ms: its client's retransmissions repeat it. */
  quicMs: 20_000,
  /** Lowest TTL or hop limit of a packet that carries held bytes: one that dies on the way would make us judge bytes the server never sees. */
  minimumTtl: 32,
  /** What a rule's `upload_limit` counts over, ms, and how many accounts of sources are kept for it. */
  uploadWindowMs: 3_600_000,
  uploadAccounts: 16_384,
} as const;
