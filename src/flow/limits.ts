/** Bounds of the flow engine (threat T10: flooding the queue or the table). Over a bound the packet is refused, never let through. */
export const limits = {
  /** Undecided flows kept in all, and of one source. */
  flows: 131_072,
  flowsPerSource: 65_536,
  /** Packets held in the kernel's queue, of one flow and of one source. */
  heldPerFlow: 48,
  heldPerSource: 4_096,
  /** Bytes of hello kept in all, over all undecided flows. */
  bytes: 128 * 1024 * 1024,
  /** From the first held byte to the whole hello, ms (threat N6: very slow hellos). */
  helloMs: 10_000,
  /** From the SYN to the first byte, ms (threat N7: a server-first protocol on a tls port never shows a name). */
  silentMs: 30_000,
  /** In monitor mode: how long a silent flow is watched for a name before it is recorded without one, ms. */
  observeMs: 5_000,
  /** How long a followed plain-HTTP connection may be idle before it is forgotten (its next bytes are then refused), ms. */
  idleMs: 3_600_000,
  /** The same once the client has closed its half. */
  closingMs: 60_000,
  /** Lowest TTL or hop limit of a packet that carries held bytes: one that dies on the way would make us judge bytes the server never sees. */
  minimumTtl: 32,
} as const;
