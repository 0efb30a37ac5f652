package compact

import (
	"os"
	"testing"

	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		victim()
		return
	}
	storetest.Main(m)
}
