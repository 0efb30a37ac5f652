package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// KMSKey is the name of the key that a server of NewTLSMinIO encrypts with when a client asks for SSE-KMS.
const KMSKey = "litefs-s3-test"

// NewTLSMinIO starts a server of the test's own that speaks https with a certificate of a private authority, and has a key service. caFile is the authority's
// certificate, which nobody knows who was not told.
func NewTLSMinIO(t testing.TB) (m *MinIO, caFile string) {
	t.Helper()
	dir := t.TempDir()
	caFile = filepath.Join(dir, "ca.pem")
	ca, err := writeCertificates(dir, caFile)
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	rand.Read(key)
	m, err = openMinIO(t.Context(), &MinIO{
		dir: dir, S3: S3{Endpoint: "https://", CA: ca},
		env: []string{"MINIO_KMS_SECRET_KEY=" + KMSKey + ":" + base64.StdEncoding.EncodeToString(key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(); err != nil {
			t.Error(err)
		}
	})
	showLogIfFailed(t, "MinIO", m.log)
	return m, caFile
}

// Stored is all that the server has on its disk below a prefix.
func (m *MinIO) Stored(bucket, prefix string) (all []byte, err error) {
	err = filepath.WalkDir(filepath.Join(m.dir, "data", bucket, prefix), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, data...)
		return err
	})
	return all, err
}

// writeCertificates makes an authority and a certificate for loopback, where MinIO looks for its own.
func writeCertificates(dir, caFile string) (*x509.CertPool, error) {
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "litefs-s3 test authority"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotAfter: authority.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certs := filepath.Join(dir, "certs")
	if err := os.MkdirAll(certs, 0o755); err != nil {
		return nil, err
	}
	if err := writeCertificate(caFile, authority, authority, &authorityKey.PublicKey, authorityKey); err != nil {
		return nil, err
	}
	if err := writeCertificate(filepath.Join(certs, "public.crt"), server, authority, &serverKey.PublicKey, authorityKey); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return nil, err
	}
	if err := writePEM(filepath.Join(certs, "private.key"), "PRIVATE KEY", der); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	data, err := os.ReadFile(caFile)
	pool.AppendCertsFromPEM(data)
	return pool, err
}

func writeCertificate(path string, cert, parent *x509.Certificate, key *ecdsa.PublicKey, signer *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key, signer)
	if err != nil {
		return err
	}
	return writePEM(path, "CERTIFICATE", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
