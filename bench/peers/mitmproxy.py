"""mitmproxy 8 as a transparent SNI filter: an allowed name is passed through undecrypted, any other is closed."""

from mitmproxy import tls

ALLOWED = {"bench.example"}


class SniFilter:
    def tls_clienthello(self, data: tls.ClientHelloData):
        data.ignore_connection = data.client_hello.sni in ALLOWED

    def tls_start_client(self, data: tls.TlsData):
        # Only what is not on the list comes here. Without a TLS context mitmproxy ends the connection.
        data.ssl_conn = None


addons = [SniFilter()]
