/** ClientHellos as Node's TLS writes them (OpenSSL, post-quantum key share and all), without a network. */
import { Duplex } from "node:stream";
import { connect } from "node:tls";

/** The first flight of a client that asks for `servername` (null: it shows none). */
export function captureHello(servername: string | null): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        resolve(Uint8Array.from(chunk));
        done();
        queueMicrotask(() => socket.destroy());
      },
    });
    const socket = connect({ socket: wire, ...(servername === null ? {} : { servername }), rejectUnauthorized: false });
    socket.on("error", reject);
  });
}
