"""mitmproxy 8 as a transparent SNI filter: an allowed name is passed through undecrypted, any other is closed."""

from mitmproxy import tls

ALLOWED = {"bench.example"}
NOWHERE = ("127.0.0.1", 1)


class SniFilter:
    def tls_clienthello(self, data: tls.ClientHelloData):
        # Nothing is decrypted, whoever it is for.
        data.ignore_connection = True
        if data.client_hello.sni not in ALLOWED:
            # A hook cannot end a connection; one whose server refuses is ended at once.
            data.context.server.address = NOWHERE


addons = [SniFilter()]
