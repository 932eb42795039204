/** Promises about commands: what changes the firewall, its routes or its services is told, what only looks is not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { firewallCommand, firewallPrograms } from "./firewall-commands.ts";

const changes = [
  "nft flush ruleset",
  "nft delete table inet sallyport",
  "nft -f rules.nft",
  "/usr/sbin/nft -j -f -",
  "iptables -F",
  "iptables -t mangle -D OUTPUT 1",
  "ip6tables-legacy -I OUTPUT -j ACCEPT",
  "iptables-restore",
  "xtables-nft-multi iptables -F",
  "ebtables -F",
  "tc qdisc add dev eth0 clsact",
  "tc filter del dev eth0 egress",
  "bpftool net detach xdp dev eth0",
  "bpftool map update id 3 key 0 value 1",
  "conntrack -F",
  "conntrack -U --mark 0x5",
  "ip link add link eth0 name m0 type macvlan",
  "ip -6 route replace default via fe80::1",
  "ip rule add fwmark 1 table 5",
  "ip l s eth0 down",
  "ip -batch commands",
  "ifconfig eth0 down",
  "route add default gw 10.0.0.1",
  "sysctl -w net.ipv4.ip_forward=1",
  "sysctl net/netfilter/nf_conntrack_tcp_loose=1",
  "sysctl -p /tmp/x.conf",
  "systemctl stop sallyport.service",
  "systemctl mask --now nftables",
  "systemctl restart docker",
  "ufw disable",
  "firewall-cmd --remove-port=22/tcp",
];
const looks = [
  "nft list ruleset",
  "nft --version",
  "nft -c -f rules.nft",
  "iptables -L -n -v",
  "iptables -nvL",
  "iptables -t nat -S",
  "iptables-restore --test",
  "iptables-save",
  "tc qdisc show",
  "tc -s filter ls dev eth0",
  "bpftool prog list",
  "conntrack -L",
  "ip a",
  "ip -br link",
  "ip route get 1.1.1.1",
  "ip -n other link add x type dummy",
  "ip netns exec other ip link set lo up",
  "ifconfig",
  "sysctl -a",
  "sysctl net.ipv4.ip_forward",
  "sysctl -w vm.max_map_count=262144",
  "systemctl start docker",
  "systemctl stop mysql",
  "systemctl status sallyport",
  "ufw status",
  "curl https://pypi.org/",
  "",
];

for (const line of changes) test(`changes: ${line}`, () => assert.notEqual(firewallCommand(line.split(" ")), null));
for (const line of looks) test(`only looks: ${line}`, () => assert.equal(firewallCommand(line.split(" ")), null));

test("every program of which a change is known is one that is listened for", () => {
  for (const line of changes) {
    const name = line.split(" ")[0]!.split("/").at(-1)!;
    assert.ok(firewallPrograms.includes(name), name);
  }
});
