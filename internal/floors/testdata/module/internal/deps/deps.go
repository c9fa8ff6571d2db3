package deps

import _ "github.com/unknown/thing"
