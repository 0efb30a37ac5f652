package s3store_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

// bareEnv removes everything that could name credentials, and sets what is given as NAME=value.
func bareEnv(t *testing.T, vars ...string) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CA_BUNDLE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
		"LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY", "LITESTREAM_S3_ENDPOINT", "AWS_DEFAULTS_MODE",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED",
	} {
		t.Setenv(name, "") // so that it is restored
		os.Unsetenv(name)
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "credentials"))
	for _, kv := range vars {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
}

// signer answers every request and remembers whose signature it had, as "key ID/region/token".
func signer(t *testing.T) (url string, last func() string) {
	t.Helper()
	var seen atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := "unsigned"
		if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
			parts := strings.Split(rest, "/")
			id = parts[0] + "/" + parts[2] + "/" + r.Header.Get("X-Amz-Security-Token")
		}
		seen.Store(id + " " + r.URL.Path)
		io.WriteString(w, `<?xml version="1.0"?><ListBucketResult></ListBucketResult>`)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() string { return seen.Load().(string) }
}

func TestOpen_Credentials(t *testing.T) {
	tokenServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // STS
			fmt.Fprint(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>`+
				`<AccessKeyId>WEB</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>tw</SessionToken>`+
				`<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
			return
		}
		fmt.Fprint(w, `{"AccessKeyId":"ROLE","SecretAccessKey":"s","Token":"tr","Expiration":"2099-01-01T00:00:00Z"}`)
	}))
	t.Cleanup(tokenServer.Close)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n"+
		"[dev]\naws_access_key_id = DEV\naws_secret_access_key = s\naws_session_token = td\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	jwt := filepath.Join(t.TempDir(), "jwt")
	if err := os.WriteFile(jwt, []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		env  []string
		cfg  s3store.Config
		want string
	}{
		{"static", []string{"AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s"},
			s3store.Config{AccessKeyID: "CFG", SecretAccessKey: "s"}, "CFG/us-east-1/"},
		{"static with token", nil, s3store.Config{AccessKeyID: "CFG", SecretAccessKey: "s", SessionToken: "t"}, "CFG/us-east-1/t"},
		{"environment", []string{"AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s", "LITESTREAM_ACCESS_KEY_ID=LS", "LITESTREAM_SECRET_ACCESS_KEY=s"},
			s3store.Config{}, "ENV/us-east-1/"},
		{"environment with token and region", []string{"AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s", "AWS_SESSION_TOKEN=t", "AWS_REGION=eu-west-3"},
			s3store.Config{}, "ENV/eu-west-3/t"},
		{"region given", []string{"AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s", "AWS_REGION=eu-west-3"},
			s3store.Config{Region: "auto"}, "ENV/auto/"},
		{"Litestream's", []string{"LITESTREAM_ACCESS_KEY_ID=LS", "LITESTREAM_SECRET_ACCESS_KEY=s", "AWS_SESSION_TOKEN=stale"},
			s3store.Config{}, "LS/us-east-1/"},
		{"shared file", []string{"AWS_SHARED_CREDENTIALS_FILE=" + file}, s3store.Config{}, "FILE/us-east-1/"},
		{"profile", []string{"AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s"},
			s3store.Config{Profile: "dev"}, "DEV/us-east-1/td"},
		{"AWS_PROFILE", []string{"AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_PROFILE=dev"}, s3store.Config{}, "DEV/us-east-1/td"},
		{"container", []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + tokenServer.URL}, s3store.Config{}, "ROLE/us-east-1/tr"},
		{"web identity", []string{"AWS_WEB_IDENTITY_TOKEN_FILE=" + jwt, "AWS_ROLE_ARN=arn:aws:iam::1:role/r", "AWS_REGION=eu-west-1",
			"AWS_ENDPOINT_URL_STS=" + tokenServer.URL}, s3store.Config{}, "WEB/eu-west-1/tw"},
		{"provider", []string{"AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s"},
			s3store.Config{Credentials: credentials.NewStaticCredentialsProvider("PRO", "s", "tp")}, "PRO/us-east-1/tp"},
		{"anonymous", []string{"AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s"}, s3store.Config{Anonymous: true}, "unsigned"},
		{"defaults mode that waits", []string{"AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s", "AWS_DEFAULTS_MODE=auto"},
			s3store.Config{}, "ENV/us-east-1/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked atomic.Int64 // of the instance's metadata, where a machine that is none would wait
			metadata := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
			defer metadata.Close()
			bareEnv(t, append(test.env, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+metadata.URL)...)
			endpoint, last := signer(t)
			test.cfg.Bucket, test.cfg.Endpoint = "bucket", endpoint
			store := open(t, test.cfg)
			if _, err := store.List(t.Context(), "app/", ""); err != nil {
				t.Fatal(err)
			}
			if got, want := last(), test.want+" /bucket"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if n := asked.Load(); n > 0 {
				t.Errorf("the instance's metadata was asked for, %d times", n)
			}
		})
	}
}

func TestOpen_Endpoint(t *testing.T) {
	endpoint, last := signer(t)
	for _, test := range []struct {
		name string
		env  string
		cfg  s3store.Config
	}{
		{"given", "AWS_ENDPOINT_URL=http://wrong.invalid", s3store.Config{Endpoint: endpoint}},
		{"Litestream's", "LITESTREAM_S3_ENDPOINT=" + strings.TrimPrefix(endpoint, "http://"), s3store.Config{}},
		{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_S3=" + endpoint, s3store.Config{}},
		{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL=" + endpoint, s3store.Config{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bareEnv(t, test.env, "AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s")
			test.cfg.Bucket = "bucket"
			if _, err := open(t, test.cfg).List(t.Context(), "app/", ""); err != nil {
				t.Fatal(err)
			}
			if got := last(); got != "ENV/us-east-1/ /bucket" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestOpen_NoCredentials is a machine where the metadata service does not answer: the usual laptop.
func TestOpen_NoCredentials(t *testing.T) {
	var running atomic.Int64
	metadata := httptest.NewServer(hang(&running))
	defer metadata.Close()
	bareEnv(t, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+metadata.URL)
	begin := time.Now()
	_, err := s3store.Open(t.Context(), s3store.Config{Bucket: "bucket"})
	if !errors.Is(err, objstore.ErrAccess) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"AWS_ACCESS_KEY_ID", "LITESTREAM_", "anonymous=true", "EC2"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if took := time.Since(begin); took > 12*time.Second { // 2 s; other searches may take 15
		t.Errorf("took %v", took)
	}
	waitFor(t, "requests to end", func() bool { return running.Load() == 0 })

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s3store.Open(ctx, s3store.Config{Bucket: "bucket"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the caller's deadline", err)
	}
}

// TestOpen_HalfCredentials: a pair of which one half is missing, or misspelt, is named.
func TestOpen_HalfCredentials(t *testing.T) {
	for _, test := range []struct{ set, want string }{
		{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not"},
		{"AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_SECRET_ACCESS_KEY is set, and AWS_ACCESS_KEY_ID is not"},
	} {
		bareEnv(t, "AWS_EC2_METADATA_DISABLED=true", test.set)
		_, err := s3store.Open(t.Context(), s3store.Config{Bucket: "bucket"})
		if !errors.Is(err, objstore.ErrAccess) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "lanted") {
			t.Errorf("a secret is in %v", err)
		}
	}
}

// TestStore_EndpointIsWrong: where nothing lists buckets, or something else than asked for is spoken, the endpoint is named.
func TestStore_EndpointIsWrong(t *testing.T) {
	bareEnv(t)
	server := httptest.NewServer(xmlError(404, "NoSuchKey", "The specified key does not exist."))
	defer server.Close()
	for endpoint, want := range map[string]string{
		server.URL + "/bucket":                           server.URL + "/bucket",
		"https" + strings.TrimPrefix(server.URL, "http"): "the server speaks plain http",
	} {
		store := open(t, s3store.Config{Bucket: "bucket", Anonymous: true, Endpoint: endpoint})
		_, err := store.List(t.Context(), "app/", "")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "endpoint "+endpoint) {
			t.Errorf("%s: got %v, want %q and the endpoint", endpoint, err, want)
		}
	}
}

// TestOpen_Refused wants settings that contradict each other to be errors.
func TestOpen_Refused(t *testing.T) {
	bareEnv(t)
	for _, test := range []struct {
		cfg  s3store.Config
		text string
	}{
		{s3store.Config{}, "bucket is required"},
		{s3store.Config{Bucket: "b-1", AccessKeyID: accessKey}, "only one is set"},
		{s3store.Config{Bucket: "b-1", SecretAccessKey: secretKey}, "only one is set"},
		{s3store.Config{Bucket: "b-1", SessionToken: token}, "session token"},
		{s3store.Config{Bucket: "b-1", Anonymous: true, AccessKeyID: accessKey, SecretAccessKey: secretKey}, "one of"},
		{s3store.Config{Bucket: "b-1", SkipVerify: true, HTTPClient: http.DefaultClient}, "HTTP client"},
		{s3store.Config{Bucket: "b-1", StallTimeout: -1}, "negative"},
		{s3store.Config{Bucket: "b-1", PartSize: 1}, "at least"},
		{s3store.Config{Bucket: "b-1", Anonymous: true, CAFile: "/nonexistent.pem"}, "/nonexistent.pem"},
		{s3store.Config{Bucket: "b-1", Profile: "nobody"}, `profile "nobody" is in none of the shared AWS files`},
		{s3store.Config{Bucket: "b-1", Anonymous: true, Endpoint: "ftp://files.example.com"}, `the endpoint "ftp://files.example.com" is not a URL`},
		{s3store.Config{Bucket: "b-1", Anonymous: true, Endpoint: "ftp://me:planted@files.example.com"}, "the endpoint is not a URL"},
	} {
		_, err := s3store.Open(t.Context(), test.cfg)
		if err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("got %v, want %q in it", err, test.text)
		}
		if err != nil && strings.Contains(err.Error()+fmt.Sprintf("%#v", err), "lanted") {
			t.Errorf("a secret is in %v", err)
		}
	}
}

// TestOpen_Certificates is a server whose authority only a file knows.
func TestOpen_Certificates(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `<?xml version="1.0"?><ListBucketResult></ListBucketResult>`)
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		env    string
		change func(*s3store.Config)
		fails  bool
	}{
		{"unknown", "X=", func(*s3store.Config) {}, true},
		{"AWS_CA_BUNDLE", "AWS_CA_BUNDLE=" + authority, func(*s3store.Config) {}, false},
		{"AWS_CA_BUNDLE and a client", "AWS_CA_BUNDLE=" + authority, func(c *s3store.Config) { c.HTTPClient = server.Client() }, false},
		{"ca-file", "X=", func(c *s3store.Config) { c.CAFile = authority }, false},
		{"skip-verify", "X=", func(c *s3store.Config) { c.SkipVerify = true }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			bareEnv(t, test.env)
			cfg := s3store.Config{Bucket: "bucket", Endpoint: server.URL, AccessKeyID: accessKey, SecretAccessKey: secretKey}
			test.change(&cfg)
			_, err := open(t, cfg).List(t.Context(), "", "")
			switch {
			case !test.fails && err != nil:
				t.Error(err)
			case test.fails && (err == nil || !strings.Contains(err.Error(), "ca-file") || errors.Is(err, objstore.ErrTemporary)):
				t.Errorf("got %v, want advice and no retry", err)
			}
		})
	}
	t.Run("scheme", func(t *testing.T) {
		bareEnv(t)
		plain, _ := signer(t)
		cfg := s3store.Config{Bucket: "bucket", Endpoint: strings.Replace(plain, "http", "https", 1), Anonymous: true}
		_, err := open(t, cfg).Put(t.Context(), "app/x", bytes.NewReader(nil), objstore.PutOptions{})
		if err == nil || !strings.Contains(err.Error(), "http://") || errors.Is(err, objstore.ErrTemporary) {
			t.Errorf("got %v", err)
		}
	})
}

// TestSilent wants nothing from the SDK on the standard error output.
func TestSilent(t *testing.T) {
	old := os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = w
	store := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-2/10")
		w.WriteHeader(206)
		io.WriteString(w, "abc")
	}, func(c *s3store.Config) { c.Endpoint = strings.Replace(c.Endpoint, "127.0.0.1", "localhost", 1) })
	readErr := store.ReadAt(t.Context(), objstore.Ref{Key: "app/x"}, make([]byte, 3), 0)
	os.Stderr = old
	w.Close()
	if text, _ := io.ReadAll(r); len(text) > 0 || readErr != nil {
		t.Errorf("got %v, and printed: %s", readErr, text)
	}
}
