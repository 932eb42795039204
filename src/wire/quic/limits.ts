/** Bounds of what is read of one flow's QUIC Initials, for `initial.ts` and `connection.ts`. */
export const quicLimits = {
  /** Datagrams that one hello may be spread over. */
  datagrams: 16,
  /** Initial packets opened of one datagram: each costs a few decryptions. */
  packetsPerDatagram: 16,
  /** Bytes of a connection's CRYPTO stream. */
  bytes: 65536,
  /** Pieces of it with gaps between them. */
  ranges: 64,
  /** Judged connections remembered of one flow. Honest clients have one; one that shares its socket, or met a Retry, a few. */
  connections: 3,
} as const;

/** RFC 9000 section 14.1: servers discard Initials in smaller datagrams, so what these show is never acted on. */
export const minDatagram = 1200;
