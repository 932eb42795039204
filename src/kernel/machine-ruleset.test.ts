/**
 * Promise: the ruleset of a machine is put up and taken away as one thing, is told from one that somebody changed, and keeps its
 * secret to root. What it does to packets is shown in `test/machine/`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./commands.ts";
import { formatAddress } from "../address/ip.ts";
import { defaultDevices, devices, findUplinks, leavingDevices } from "./devices.ts";
import { MachineRuleset, type MachineRulesetOptions } from "./machine-ruleset.ts";
import { OwnCgroup } from "./own-cgroup.ts";
import { Lab } from "./testing/lab.ts";

interface IpRow {
  ifname: string;
  link_type: string;
  link?: string;
  master?: string;
  linkinfo?: { info_kind?: string };
  addr_info: { local: string; prefixlen: number; scope: string }[];
}

const base = { queueBase: 230, queueCount: 2, dnsPort: 5400, passBareAcks: true, passQuicData: true, askAnswers: true };

async function withMachine(use: (at: <T>(fn: () => T) => T, options: MachineRulesetOptions) => void): Promise<void> {
  const lab = new Lab();
  const group = OwnCgroup.join(`sallyport-rules-${process.pid}`);
  try {
    use((fn) => lab.inGateway(fn), { ...base, uplinks: ["out0"], cgroup: group.path });
  } finally {
    group.leave();
    await lab.close();
  }
}

const tables = () => run("nft", ["list", "ruleset"]);

test("applied, applied again, removed: present, present, and as if it had never been there", () =>
  withMachine((at, options) => {
    const ruleset = new MachineRuleset(options);
    assert.deepEqual([at(() => ruleset.state()), at(tables)], ["absent", ""]);
    at(() => ruleset.apply());
    assert.equal(
      at(() => ruleset.state()),
      "present",
    );
    assert.deepEqual([ruleset.guardsEgress, ruleset.guarded], [true, ["out0"]]);
    const first = ruleset.fingerprint;
    at(() => ruleset.apply());
    assert.equal(
      at(() => ruleset.state()),
      "present",
    );
    // Whoever had seen the secret before has seen another one.
    assert.notEqual(ruleset.fingerprint, first);
    at(() => ruleset.remove());
    assert.deepEqual([at(() => ruleset.state()), at(tables)], ["absent", ""]);
  }));

test("another process takes it for altered, unless it has the fingerprint, which does not show the secret", () =>
  withMachine((at, options) => {
    const ruleset = new MachineRuleset(options);
    at(() => ruleset.apply());
    const secret = /meta mark set (0x[0-9a-f]{5,8}) accept/.exec(at(tables))?.[1];
    assert.ok(secret !== undefined);
    const { fingerprint } = ruleset;
    assert.ok(fingerprint !== null && !fingerprint.includes(secret.slice(2)));
    const other = new MachineRuleset(options);
    assert.equal(
      at(() => other.state()),
      "altered",
    );
    assert.equal(
      at(() => other.state(fingerprint)),
      "present",
    );
    at(() => other.apply());
    assert.notEqual(/meta mark set (0x[0-9a-f]{5,8}) accept/.exec(at(tables))?.[1], secret);
    assert.equal(
      at(() => ruleset.state()),
      "altered",
    );
  }));

test("packet sockets are cut off or counted, as told", () =>
  withMachine((at, options) => {
    const ruleset = new MachineRuleset(options, false);
    const last = () => /counter packets \d+ bytes \d+ (drop|accept)\s*}\s*}\s*$/.exec(at(tables))?.[1];
    at(() => ruleset.apply());
    assert.equal(last(), "accept");
    at(() => ruleset.setDropUnmarked(true));
    assert.deepEqual([last(), at(() => ruleset.state())], ["drop", "present"]);
  }));

test("devices that come and go get and lose their guard; a bridge gets none", () =>
  withMachine((at, options) => {
    const ruleset = new MachineRuleset(options);
    at(() => ruleset.apply());
    at(() => run("ip", ["link", "add", "br7", "type", "bridge"]));
    assert.equal(
      at(() => ruleset.reconcile()),
      false,
    );
    at(() => run("ip", ["link", "add", "mac7", "link", "br7", "type", "macvlan"]));
    assert.equal(
      at(() => ruleset.reconcile()),
      true,
    );
    assert.deepEqual([ruleset.guarded, at(() => ruleset.state())], [["mac7", "out0"], "present"]);
    at(() => run("ip", ["link", "del", "mac7"]));
    assert.equal(
      at(() => ruleset.reconcile()),
      true,
    );
    assert.deepEqual([ruleset.guarded, at(() => ruleset.state())], [["out0"], "present"]);
  }));

test("uplinks are the devices of default routes, and veths with an address that are no ports", () =>
  withMachine((at) => {
    at(() => run("ip", ["link", "add", "br7", "type", "bridge"]));
    at(() => run("ip", ["address", "add", "10.99.0.1/24", "dev", "br7"]));
    assert.deepEqual(at(findUplinks), ["in0", "out0"]);
    at(() => run("ip", ["link", "set", "in0", "master", "br7"]));
    assert.deepEqual(at(findUplinks), ["out0"]);
    at(() => run("ip", ["link", "set", "br7", "up"]));
    at(() => run("ip", ["route", "add", "default", "via", "10.99.0.9"]));
    assert.deepEqual(at(findUplinks), ["br7", "out0"]);
    assert.deepEqual(
      at(() => leavingDevices(["br7"])).map(({ name }) => name),
      ["br7"],
    );
  }));

test("devices, addresses and default routes are those that ip tells of", () =>
  withMachine((at) => {
    const script = [
      "link add br7 type bridge",
      "link set in0 master br7",
      "address add 10.99.0.1/24 dev br7",
      "address add 2001:db8:7::1/64 dev br7",
      "link add mac7 link out0 type macvlan",
      "link add veth7 type veth peer name veth8",
      "link set br7 up",
      "link set out0 up",
      "route add default nexthop via 10.99.0.8 dev br7 nexthop via 10.99.0.9 dev br7",
      "route add 10.98.0.0/24 via 10.99.0.9",
      "route add default via 10.99.0.9 table 77",
    ];
    at(() => run("ip", ["-batch", "-"], { input: script.map((line) => `${line}\n`).join("") }));
    const rows = JSON.parse(at(() => run("ip", ["-j", "-d", "address", "show"]))) as IpRow[];
    assert.deepEqual(
      at(devices).map(({ addresses, ...device }) => ({
        ...device,
        addresses: addresses.map(({ address, bits }) => `${formatAddress(address)}/${bits}`),
      })),
      rows.map(({ ifname, link_type, link, master, linkinfo, addr_info }) => ({
        name: ifname,
        kind: linkinfo?.info_kind ?? null,
        ethernet: link_type === "ether",
        loopback: link_type === "loopback",
        master: master ?? null,
        lower: link ?? null,
        addressed: addr_info.some(({ scope }) => scope !== "link"),
        addresses: addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
      })),
    );
    assert.deepEqual(at(defaultDevices).toSorted(), ["br7"]);
  }));

test("what makes no ruleset is refused before anything is touched", () => {
  const options = { ...base, uplinks: ["out0"], cgroup: "own" };
  for (const wrong of [
    { cgroup: "" },
    { cgroup: "/own" },
    { cgroup: 'a" -j ACCEPT' },
    { uplinks: ["eth+"] },
    { dnsPort: 65535 },
    { queueCount: 0 },
  ]) {
    assert.throws(() => new MachineRuleset({ ...options, ...wrong }), { code: "USAGE" });
  }
});
