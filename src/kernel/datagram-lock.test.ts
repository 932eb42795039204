/**
 * Promises about datagrams that leave by somebody else's ports: another socket's are dropped where that is asked for, and told in any
 * case; what is not held passes. IPv4, IPv6, and IPv6 with headers before UDP, which are no way around it. Needs root, Linux 5.7.
 */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { DatagramLock } from "./datagram-lock.ts";
import * as libc from "./libc.ts";
import { SockDiag } from "./sock-diag.ts";
import { boundTo, listenUdp, socketAddress } from "./sockets.ts";
import { address } from "./testing/lab.ts";

const hosts = { 4: address("127.0.0.1"), 6: address("::1") } as const;
const IPPROTO_IPV6 = 41;
const IPV6_DSTOPTS = 59;
const IPV6_HOPOPTS = 54;
/** Eight bytes of padding. */
const padding = Buffer.from([0, 0, 1, 4, 0, 0, 0, 0]);

suite("a datagram flow", { timeout: 60_000 }, () => {
  let lock: DatagramLock;
  let diag: SockDiag;
  before(() => {
    lock = DatagramLock.attach();
    diag = new SockDiag();
  });
  after(() => {
    lock?.close();
    diag?.close();
  });

  for (const v of [4, 6] as const) {
    test(`is its socket's, IPv${v}`, () => {
      const host = hosts[v];
      const far = listenUdp(host, 0);
      const first = listenUdp(host, 0);
      const flow = {
        protocol: 17,
        source: host,
        sourcePort: boundTo(first).port,
        destination: host,
        destinationPort: boundTo(far).port,
      };
      const cookie = () => diag.lookup({ ...flow, protocol: "udp" })!.cookie;
      const send = (fd: number) => libc.sendto(fd, Buffer.from("x"), 1, 0, socketAddress(host, flow.destinationPort));
      lock.setStrict(true);
      assert.equal(send(first), 1, "nobody holds it");
      lock.hold(flow, cookie());
      assert.equal(send(first), 1);
      assert.deepEqual(lock.changed(), []);
      libc.close(first);

      const second = listenUdp(host, flow.sourcePort);
      assert.equal(send(second), -libc.EPERM);
      assert.equal(send(second), -libc.EPERM);
      assert.deepEqual(lock.changed(), [flow]);
      assert.deepEqual(lock.changed(), []);
      if (v === 6) {
        for (const option of [IPV6_DSTOPTS, IPV6_HOPOPTS]) {
          libc.setsockopt(second, IPPROTO_IPV6, option, padding);
          assert.equal(send(second), -libc.EPERM, `with headers of ${option}`);
        }
        lock.changed();
      }
      lock.setStrict(false);
      assert.equal(send(second), 1);
      assert.deepEqual(lock.changed(), [flow]);
      lock.setStrict(true);
      lock.hold(flow, cookie());
      assert.equal(send(second), 1, "judged anew");
      lock.hold(flow, 1n);
      assert.equal(send(second), -libc.EPERM);
      lock.release(flow);
      assert.equal(send(second), 1);

      lock.hold(flow, null);
      assert.equal(send(second), 1, "the next one's");
      assert.equal(send(second), 1);
      libc.close(second);
      const third = listenUdp(host, flow.sourcePort);
      assert.equal(send(third), -libc.EPERM);

      const other = listenUdp(host, 0);
      lock.hold(flow, 1n);
      assert.equal(send(other), 1, "of other ports");
      for (const fd of [far, third, other]) libc.close(fd);
      lock.changed();
    });
  }

  test("says where it cannot be held", () => {
    assert.throws(() => DatagramLock.attach(null), { code: "ENOENT" });
  });
});
