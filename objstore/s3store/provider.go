package s3store

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// provider is what is peculiar about a store that speaks S3.
type provider struct {
	concurrency            int  // parts of one upload at once
	noDeleteMD5            bool // Content-MD5 is not wanted when deleting
	unsignedAcceptEncoding bool // Accept-Encoding is changed on the way and must not be signed
	consistencyHeader      bool // X-Tigris-Consistent makes reads and conditions see the latest write
}

// providerOf recognises a store by its endpoint.
func providerOf(endpoint string) provider {
	host := hostOf(endpoint)
	p := provider{concurrency: 4}
	switch {
	case host == "fly.storage.tigris.dev" || host == "t3.storage.dev":
		p.concurrency, p.noDeleteMD5, p.consistencyHeader = 2, true, true
	case strings.HasSuffix(host, ".r2.cloudflarestorage.com"):
		p.concurrency = 2
	case host == "storage.googleapis.com" || strings.HasSuffix(host, ".storage.googleapis.com") ||
		strings.HasSuffix(host, "-storage.googleapis.com"):
		p.unsignedAcceptEncoding = true
	}
	return p
}

// hostForm is a way to write bucket, region and endpoint as the host of a replica URL. The expressions are
// Litestream's. All of these stores take the bucket in the path as well, which is how endpoints are used by default.
type hostForm struct {
	re       *regexp.Regexp // groups: bucket, then region
	endpoint func(region string) string
}

var hostForms = []hostForm{
	{
		re:       regexp.MustCompile(`^(.+)\.s3(?:\.([^.]+))?\.amazonaws\.com$`),
		endpoint: func(string) string { return "" },
	}, {
		re:       regexp.MustCompile(`^(?:(.+)\.)?([^.]+)\.digitaloceanspaces\.com$`),
		endpoint: func(region string) string { return "https://" + region + ".digitaloceanspaces.com" },
	}, {
		re:       regexp.MustCompile(`^(?:(.+)\.)?s3\.([^.]+)\.backblazeb2\.com$`),
		endpoint: func(region string) string { return "https://s3." + region + ".backblazeb2.com" },
	}, {
		re:       regexp.MustCompile(`^(?:(.+)\.)?s3\.filebase\.com$`),
		endpoint: func(string) string { return "https://s3.filebase.com" },
	}, {
		re:       regexp.MustCompile(`^(?:(.+)\.)?s3\.([^.]+)\.scw\.cloud$`),
		endpoint: func(region string) string { return "https://s3." + region + ".scw.cloud" },
	},
}

// neonHost is a bucket in front of the endpoint of one branch.
var neonHost = regexp.MustCompile(`^(.+)\.(br-[^.]+\.storage\.[^.]+\.([^.]+)\.[^.]+\.neon\.tech)$`)

// parseHost sets bucket, region and endpoint from the host of a replica URL, as Litestream does.
func (c *Config) parseHost(host string) {
	if strings.Contains(host, ":") && !strings.Contains(host, ".com") { // bucket.host:port, for MinIO and its like
		bucket, rest, ok := strings.Cut(host, ".")
		if ok && isHostAndPort(rest) && !isIP(hostOf(host)) {
			c.Bucket, c.Region, c.Endpoint = bucket, defaultRegion, "http://"+rest
			return
		}
	}
	for _, form := range hostForms {
		if m := form.re.FindStringSubmatch(host); m != nil && m[1] != "" {
			region := ""
			if len(m) > 2 {
				region = m[2]
			}
			c.Bucket, c.Region, c.Endpoint = m[1], region, form.endpoint(region)
			return
		}
	}
	if m := neonHost.FindStringSubmatch(host); m != nil {
		c.Bucket, c.Region, c.Endpoint = m[1], m[3], "https://"+m[2]
		return
	}
	c.Bucket = host
}

// isHostAndPort says whether s can follow the bucket in "bucket.host:port".
func isHostAndPort(s string) bool {
	u, err := url.Parse("//" + s)
	return err == nil && u.Hostname() != "" && u.Port() != ""
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
