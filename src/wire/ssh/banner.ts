/**
 * Recognises the line an SSH client opens with (RFC 4253 section 4.2). SSH shows no server name: the flow's name comes
 * from its DNS binding, and this only tells SSH from other traffic on the same port. Nothing after the line is read.
 */

/** RFC 4253 section 4.2: 255 characters with the line's end. */
const maxLine = 255;

const openings = ["SSH-2.0-", "SSH-1.99-"] as const;

export type BannerResult =
  | { state: "need_more" }
  /** `version`: `2.0` or `1.99` (2.0 with the old protocol as a fallback). `software`: as the client calls itself. */
  | { state: "ssh"; version: "2.0" | "1.99"; software: string }
  | { state: "not_ssh" };

const needMore: BannerResult = { state: "need_more" };
const notSsh: BannerResult = { state: "not_ssh" };

/** Reads the client's stream from its first byte. Clients, unlike servers, may send no line before the version. */
export function parseBanner(prefix: Uint8Array): BannerResult {
  for (const opening of openings) {
    const shared = sharedLength(prefix, opening);
    if (shared === opening.length) return readLine(prefix, opening);
    if (shared === prefix.length) return needMore;
  }
  return notSsh;
}

function readLine(prefix: Uint8Array, opening: (typeof openings)[number]): BannerResult {
  let line = "";
  for (let at = opening.length; at < maxLine; at++) {
    if (at >= prefix.length) return needMore;
    const byte = prefix[at]!;
    if (byte === 0x0a) {
      const text = line.endsWith("\r") ? line.slice(0, -1) : line;
      if (text === "" || text.includes("\r")) return notSsh;
      return { state: "ssh", version: opening === "SSH-2.0-" ? "2.0" : "1.99", software: text };
    }
    // Printable US-ASCII, and the CR that must stand before the LF.
    if ((byte < 0x20 && byte !== 0x0d) || byte >= 0x7f) return notSsh;
    line += String.fromCharCode(byte);
  }
  return notSsh;
}

function sharedLength(prefix: Uint8Array, text: string): number {
  let at = 0;
  while (at < text.length && at < prefix.length && prefix[at] === text.charCodeAt(at)) at++;
  return at;
}
