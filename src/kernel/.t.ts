import { withLab, addresses, datagram } from "./testing/lab.ts";
import { run } from "./commands.ts";
import { queueStatistics } from "./nfqueue.ts";
import { setTimeout as sleep } from "node:timers/promises";
const log=(...a)=>console.log(performance.now()|0, ...a);
await withLab(async (lab)=>{
  const s = await lab.udp(lab.server,4,7000); log("udp");
  const c = await lab.udp(lab.client,4);
  run("iptables-restore", ["--noflush"], { namespace: lab.gateway, input: `*mangle\n-A FORWARD -p udp -j NFQUEUE --queue-num 100\nCOMMIT\n` });
  let n=0;
  const q = lab.serveQueue(100,(q,i)=>{
    const p=Buffer.from(q.bytes.subarray(q.payloadOffset(i),q.payloadOffset(i)+q.payloadLength(i)));
    n++;
    q.verdict(q.packetId(i),"accept",undefined,process.argv[2]?undefined:p)});
  for (let i = 0; i < 12; i++) c.send(Buffer.alloc(60_000, i), 7000, addresses[4].server);
  let b=0; s.on("message",m=>b+=m.length);
  await sleep(500);
  log(n, b, q.refusedVerdicts, q.lateVerdicts, lab.inGateway(queueStatistics));
  log(run("ip",["netns","exec",lab.server,"cat","/proc/net/snmp"]).split("\n").filter(l=>/Udp:|Ip:/.test(l)).join("\n"));
  log(run("ip",["netns","exec",lab.gateway,"cat","/proc/net/snmp"]).split("\n").filter(l=>/Ip:/.test(l)).join("\n"));
});
