/** The policies that the tests of this room run under. */

/** Names decide: TLS and plain HTTP to one name, QUIC to another, an opaque service by address. */
export const enforced = `
rules:
  - { name: tls, to: allowed.example }
  - { name: web, to: "web.example:80" }
  - { name: quic, to: quic.example, protocol: quic }
  - { name: ssh, to: git.example, protocol: ssh, ports: [22] }
  - { name: opaque, to: 203.0.113.0/24, protocol: tcp, ports: [5432] }
default: { mode: enforce }
`;

/** Nothing is refused. */
export const monitored = `
rules:
  - { name: tls, to: allowed.example }
default: { mode: monitor }
`;

/** Nothing is refused but what one rule denies by name. */
export const onlyDenied = `
rules:
  - { name: no gists, to: denied.example, action: deny, reason: a sink }
default: { mode: monitor }
`;
