package s3store_test

import (
	"crypto/rand"
	"testing"

	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

// TestVersityGW is the contract against a store of another make.
func TestVersityGW(t *testing.T) {
	t.Parallel()
	gateway := servers.StartVersityGW(t)
	store := open(t, s3store.Config{
		Bucket: gateway.Bucket(t), Endpoint: gateway.Endpoint, Region: servers.Region,
		AccessKeyID: gateway.AccessKey, SecretAccessKey: gateway.SecretKey, PartSize: 5 << 20,
	})
	openPrefix := func(*testing.T) objstore.Store { return objstore.WithPrefix(store, rand.Text()) }
	t.Run("contract", func(t *testing.T) { storetest.Run(t, openPrefix) })
	t.Run("keys", func(t *testing.T) { storetest.RunKeys(t, openPrefix, nil) })
}
