/** What a gateway may change on its host, as text: two of them compare byte for byte. */
import type { Lab } from "../lab/lab.ts";

const script = `
for tool in iptables-save ip6tables-save; do echo "== $tool"; $tool | grep -v '^#' | sed 's/\\[[0-9]*:[0-9]*\\]/[0:0]/'; done
echo "== settings"
cd /proc/sys/net && grep -rsH '' . | grep -vE '^[^:]*/(nf_conntrack_count|tcp_fastopen_key|stable_secret):' | sort
echo "== rules"; ip rule; ip -6 rule
echo "== routes"; ip route show table all; ip -6 route show table all
echo "== links"; ip -o addr`;

/** Rules without counters, settings, routes and addresses of the gateway's namespace. */
export async function hostState(lab: Lab): Promise<string[]> {
  const { code, stdout, stderr } = await lab.gateway.exec("sh", ["-c", script]);
  if (code !== 0) throw new Error(stderr);
  return stdout.split("\n");
}
