/** Real tunnels and packet tools, unmodified, each with its server on the lab's internet: all must be held. */
import type { Attack } from "./case.ts";
import { curlCases } from "./tools/curl.ts";
import { dns2tcpCases } from "./tools/dns2tcp.ts";
import { hping3Cases } from "./tools/hping3.ts";
import { httptunnelCases } from "./tools/httptunnel.ts";
import { iodineCases } from "./tools/iodine.ts";
import { ncatCases } from "./tools/ncat.ts";
import { ngtcp2Cases } from "./tools/ngtcp2.ts";
import { openvpnCases } from "./tools/openvpn.ts";
import { ptunnelCases } from "./tools/ptunnel.ts";
import { scapyCases } from "./tools/scapy.ts";
import { socatCases } from "./tools/socat.ts";
import { sshCases } from "./tools/ssh.ts";
import { stunnelCases } from "./tools/stunnel.ts";
import { torCases } from "./tools/tor.ts";
import { wireguardCases } from "./tools/wireguard.ts";

export const toolCases: Attack[] = [
  ...iodineCases,
  ...dns2tcpCases,
  ...ptunnelCases,
  ...stunnelCases,
  ...torCases,
  ...openvpnCases,
  ...wireguardCases,
  ...socatCases,
  ...ncatCases,
  ...sshCases,
  ...httptunnelCases,
  ...curlCases,
  ...ngtcp2Cases,
  ...hping3Cases,
  ...scapyCases,
];
