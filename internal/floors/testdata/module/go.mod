module github.com/dsrun/dsrun
