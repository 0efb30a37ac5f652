package vfs

import (
	"fmt"
	"strings"
)

// aliasPrefix is what LiteVFS's users know.
const aliasPrefix = "litevfs_"

// litevfsNames are pragmas of LiteVFS's that have another name here.
var litevfsNames = map[string]string{"cache_sync_period": "poll_interval"}

// litevfsGone are those that have no counterpart with the same meaning, and what there is instead.
var litevfsGone = map[string]string{
	"cache_db":            "here it is PRAGMA litestream_hydrate = wait, with a local copy",
	"max_cached_pages":    "here it is PRAGMA litestream_cache_size, in bytes, for the process",
	"min_available_space": "here the parameter hydration_max_size bounds the local copy",
}

// ourName is the name of one of our pragmas without its prefix, which may be LiteVFS's.
func ourName(name string) (short string, ok bool, err error) {
	if short, ok = strings.CutPrefix(name, pragmaPrefix); ok {
		return short, true, nil
	}
	if short, ok = strings.CutPrefix(name, aliasPrefix); !ok {
		return name, false, nil
	}
	if instead, gone := litevfsGone[short]; gone {
		return short, true, fmt.Errorf("%s: %s", name, instead)
	}
	if renamed, ok := litevfsNames[short]; ok {
		short = renamed
	}
	return short, true, nil
}
