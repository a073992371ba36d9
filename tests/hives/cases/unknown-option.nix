{ bad.deployment.noSuchOption = "no such option"; good = { }; }
