#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "async/run_blocking.h"
#include "base/assert.h"
#include "wire/http_client.h"
#include "wire/loopback_test.h"

namespace tessera::wire {
namespace {

using async::sync_wait;
using testing::RawServer;

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509, X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Freer<SSL_CTX, SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Freer<SSL, SSL_free>>;

/// A certificate that signs itself, for the name given ("IP:127.0.0.1", "DNS:example.org").
struct Identity {
  explicit Identity(const std::string& name) : key(EVP_EC_gen("P-256")), certificate(X509_new()) {
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    auto* subject = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(certificate.get(), subject);
    auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, name.c_str());
    X509_add_ext(certificate.get(), extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(certificate.get(), key.get(), EVP_sha256());
  }
  [[nodiscard]] std::string write_file() const {
    std::string path = ::testing::TempDir() + "tessera_ca_XXXXXX";
    std::FILE* file = ::fdopen(::mkstemp(path.data()), "w");
    PEM_write_X509(file, certificate.get());
    std::fclose(file);
    return path;
  }
  Key key;
  Certificate certificate;
};

/// Answers one request on each TLS connection.
class TlsServer {
 public:
  explicit TlsServer(const Identity& identity)
      : context_(SSL_CTX_new(TLS_server_method())), server_([this](int fd, int) { serve(fd); }) {
    TESSERA_ASSERT(SSL_CTX_use_certificate(context_.get(), identity.certificate.get()) == 1);
    TESSERA_ASSERT(SSL_CTX_use_PrivateKey(context_.get(), identity.key.get()) == 1);
  }
  [[nodiscard]] ClientRequest request() const {
    ClientRequest request;
    request.url = "https://127.0.0.1:" + std::to_string(server_.port()) + "/";
    return request;
  }

 private:
  void serve(int fd) const {
    const Session session(SSL_new(context_.get()));
    SSL_set_fd(session.get(), fd);
    if (SSL_accept(session.get()) != 1) return;
    char bytes[4096];
    if (SSL_read(session.get(), bytes, sizeof bytes) <= 0) return;
    constexpr std::string_view kReply = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
    SSL_write(session.get(), kReply.data(), static_cast<int>(kReply.size()));
    SSL_shutdown(session.get());
  }
  Context context_;
  RawServer server_;
};

class HttpClientTls : public ::testing::Test {
 protected:
  HttpClientTls() { std::signal(SIGPIPE, SIG_IGN); }
};

TEST_F(HttpClientTls, TrustsOnlyWhoCanProveTheirName) {
  const Identity identity("IP:127.0.0.1");
  const TlsServer server(identity);
  HttpClient stranger;
  const auto refused = sync_wait(stranger.fetch(server.request()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "TLS_FAILED");
  EXPECT_EQ(refused.error().code, base::Code::upstream);
  const auto ca_file = identity.write_file();
  HttpClient friendly({.ca_file = ca_file});
  const auto response = sync_wait(friendly.fetch(server.request()));
  ::unlink(ca_file.c_str());
  ASSERT_TRUE(response) << response.error().name << response.error().detail;
  EXPECT_EQ(response->body, "secret");
}

TEST_F(HttpClientTls, RefusesACertificateForAnotherName) {
  const Identity identity("DNS:example.org");
  const TlsServer server(identity);
  const auto ca_file = identity.write_file();
  HttpClient client({.ca_file = ca_file});
  const auto refused = sync_wait(client.fetch(server.request()));
  ::unlink(ca_file.c_str());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "TLS_FAILED");
}

}  // namespace
}  // namespace tessera::wire
