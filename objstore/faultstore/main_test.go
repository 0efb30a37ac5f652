package faultstore_test

import (
	"testing"

	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
